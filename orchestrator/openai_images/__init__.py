"""Pictures as OpenAI's clients ask for them: made, edited, varied; and links that need no key."""
