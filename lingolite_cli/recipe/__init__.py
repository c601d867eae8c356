"""Recipes: what they say, whether that can be done, and doing it."""
