"""What importers read, and the bundle that is made of it."""
