"""How often query-regression is right: measured on recorded and on simulated workloads."""
