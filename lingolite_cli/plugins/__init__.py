"""The plugin host: what plugins may offer, and how they are found and kept from breaking one another."""
