"""Running a plan: in which order, where the work is done, and what is left of it."""
