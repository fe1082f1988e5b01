"""The demo family: its drawn world, the trainers of its networks, and their measurement."""
