"""The user's server: one guarded way to connect, and what is read there."""
