"""What changed over time, and what became of it."""
