"""Vocabulary shortlists: the target tokens that a source can need."""
