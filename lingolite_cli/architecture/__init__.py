"""What a network is made of, as data: sizes, tensor names, and an independent reference in numpy."""
