"""What the served models mean, with no server: shared by the Triton stubs, export, training and tests."""
