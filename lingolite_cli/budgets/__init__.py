"""Budgets: the one table of figures that recipes may limit (`table`), and the one way of judging them (`judging`).

What was measured comes from `lingolite_cli.evaluation` and `lingolite_cli.benchmark`, which know no budget.
"""
