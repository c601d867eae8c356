"""Search for mixed precision: the units of a model, their sensitivity, and the smallest mix that meets a budget."""
