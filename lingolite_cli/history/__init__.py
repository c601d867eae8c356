"""The history of a project's runs: the figures of each run, in one SQLite file."""
