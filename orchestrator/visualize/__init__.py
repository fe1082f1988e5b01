"""Draw what was found in a picture."""
