"""A family of weights becomes Triton models, each proven equal to its source."""
