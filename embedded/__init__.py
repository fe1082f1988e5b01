"""The real Triton without Docker: find the binary, lay out its backends, start it, watch it, stop it."""
