"""Pictures from words: what a request asks, its texts as arrays, and the loop that requests share step by step."""
