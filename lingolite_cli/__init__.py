"""LingoLite: from a trained translation model to a file that a phone can run, with proof that it still translates."""

__version__ = "0.1.0"
