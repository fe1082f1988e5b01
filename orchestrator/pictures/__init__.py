"""What is known of a picture: found out once, kept while there is room, shared by all that ask."""
