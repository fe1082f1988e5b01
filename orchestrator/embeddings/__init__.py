"""Words and pictures to vectors, in the shape of OpenAI's endpoint."""
