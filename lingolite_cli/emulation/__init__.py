"""Other processors, emulated on this one: what must be there, getting it, and replaying goldens on them."""
