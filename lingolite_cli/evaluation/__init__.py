"""Corpora, statistics over them, and verdicts on what was measured."""
