"""Directories that `save_pretrained` of transformers writes, read without it."""
