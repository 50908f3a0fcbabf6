"""The embedded PostgreSQL: its server, and what cleans up after it."""
