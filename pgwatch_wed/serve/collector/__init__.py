"""Facts of a target in tiers, over one kept connection, and what the rules say of them."""
