"""What lasts: SQL rows and picture bytes. Knows no HTTP, no Triton, and nothing of what the rows are for."""
