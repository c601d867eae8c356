"""LingoLite checkpoints."""
