"""Load tests: blocks of pgbench, whether their numbers can be believed, why it was slow, and the proof."""
