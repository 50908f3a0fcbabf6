"""What would a query cost with these indexes? Oracles, candidates, and the search for the best set."""
