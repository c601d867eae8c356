"""Running a plan: the order of its steps, the executors that do their work, and the files of a run."""
