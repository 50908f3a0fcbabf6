"""Workloads as people run them: what the advised indexes bring when built, beside those of an expert."""
