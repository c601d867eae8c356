"""Running a plan: the order of its steps, and the files of a run; and the executor of this machine."""
