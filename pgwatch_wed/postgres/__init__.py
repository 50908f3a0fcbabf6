"""What PostgreSQL itself computes, derived from facts alone: triggers, waits, horizons, sizes."""
