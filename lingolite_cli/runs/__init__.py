"""Runs on disk: their records, directories and translations, and how one run differs from another."""
