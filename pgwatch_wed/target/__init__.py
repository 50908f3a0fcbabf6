"""The user's server: one guarded way in, and what is read there."""
