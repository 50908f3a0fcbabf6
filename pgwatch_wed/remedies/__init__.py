"""SQL that mends, with the lock that it takes and the way back."""
