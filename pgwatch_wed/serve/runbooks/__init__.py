"""The pages on alerts: the head of each is made out of the rules, the rest is written."""
