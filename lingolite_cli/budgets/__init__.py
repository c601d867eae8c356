"""Budgets: their names, the figures they limit, and the verdicts on what was measured."""
