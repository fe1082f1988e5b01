"""The front door: what this server is, and the documentation of its endpoints."""
