"""The caller's gallery over HTTP."""
