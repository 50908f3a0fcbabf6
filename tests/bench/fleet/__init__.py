"""What a fleet costs, how it grows, and that nothing is lost when its processes are killed."""
