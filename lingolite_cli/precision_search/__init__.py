"""Mixed precision found by measuring: the parts of a model, what each costs, and the smallest mix that will do."""
