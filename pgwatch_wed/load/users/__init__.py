"""Many users: connections through a PgBouncer of ours."""
