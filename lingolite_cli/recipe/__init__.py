"""Recipes: reading and checking them, the work of their steps, and the cache and locks of that work."""
