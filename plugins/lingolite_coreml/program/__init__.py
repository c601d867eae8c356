"""A saved Core ML program, read and computed in numpy: no part of it comes from what wrote the file."""
