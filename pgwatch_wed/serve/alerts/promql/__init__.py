"""A part of PromQL, with exactly Prometheus' results: what is outside is refused when rules are read."""
