"""What was served, measured: figures by hour and day, what began when, and how far it is from what was signed off."""
