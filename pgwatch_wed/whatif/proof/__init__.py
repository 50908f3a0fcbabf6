"""The truth about advice: queries that really run on a copy."""
