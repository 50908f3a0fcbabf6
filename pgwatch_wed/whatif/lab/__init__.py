"""The lab: a target's schema and statistics in our own PostgreSQL server, without any data."""
