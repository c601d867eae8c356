"""The work of steps that is shared by several kinds, or too large for the file of its kind."""
