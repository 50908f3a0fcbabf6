"""Dashboards for Grafana, out of the registry of metrics."""
