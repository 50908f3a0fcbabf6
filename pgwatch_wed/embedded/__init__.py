"""What the embedded PostgreSQL is: its server, and what cleans up behind it."""
