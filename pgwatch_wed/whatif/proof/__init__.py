"""Verification of advice: queries that really run on a copy."""
