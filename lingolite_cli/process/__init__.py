"""This process: its standard streams, and how it is asked to end."""
