"""Why an alert fires, told from the newest facts, with what mends it."""
