"""The monitoring service: health, metrics, alerts and what people look at, from facts and probes."""
