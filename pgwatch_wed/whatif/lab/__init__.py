"""The lab: a target's schema and statistics in a PostgreSQL of our own, without a row of data."""
