"""Where load may run: an embedded server, or a server whose owner says so; what is ours there, and what stops a run."""
