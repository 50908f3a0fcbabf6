"""Alerts to people: which of them, together, once, in order, also over failures and restarts."""
