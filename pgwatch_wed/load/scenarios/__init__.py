"""What is tried: scenarios, own scripts, profiles, and how the capacity is found."""
