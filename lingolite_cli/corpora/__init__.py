"""Parallel text: read strictly for evaluation, or row by row for training."""
