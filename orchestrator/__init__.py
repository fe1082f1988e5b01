"""The web server in front of Triton: REST in, gRPC out. Importing it needs no environment."""
