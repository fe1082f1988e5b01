"""Find what is in a picture: everything, or what is pointed at."""
