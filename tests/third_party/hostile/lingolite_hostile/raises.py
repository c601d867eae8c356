"""Fails at import."""

raise ZeroDivisionError("first line\nsecond line")
