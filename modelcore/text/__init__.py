"""Words to token ids."""
