"""Work that outlives its request: accepted in one transaction, done at least once, with its effects exactly once."""
