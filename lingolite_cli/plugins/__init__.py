"""The plugin host: what plugins may offer, how they are found, and how a broken one is isolated."""
