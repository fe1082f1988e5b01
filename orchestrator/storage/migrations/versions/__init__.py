"""In the order of their dates; each names the one before it."""
