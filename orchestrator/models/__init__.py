"""What is served: every model with its tensors."""
