"""Processes beside this one: how they are asked and ended, and several of them that translate together."""
