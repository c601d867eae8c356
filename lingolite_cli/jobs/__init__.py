"""What a command does, as typed steps: for the command line and for the Python API alike."""
