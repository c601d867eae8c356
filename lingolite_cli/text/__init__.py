"""Text as characters: what of it can be seen, and which language a tag names."""
