"""pgbench, run one block at a time, and what can be believed of it."""
