"""What PostgreSQL itself reckons, from facts alone: triggers, waits, horizons, sizes."""
