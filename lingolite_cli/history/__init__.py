"""The history of a project's runs: what is kept of each, in one SQLite file, and how it is drawn."""
