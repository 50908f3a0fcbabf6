"""What the service knows as metrics: a registry, pure functions to values, and Prometheus' text format."""
