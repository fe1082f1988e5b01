"""Say what a picture shows."""
