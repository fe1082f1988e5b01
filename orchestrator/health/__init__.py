"""Asking whether the service works, and reading its metrics."""
