"""Measured comparisons, each as a ratio within one run."""
