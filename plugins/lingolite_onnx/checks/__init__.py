"""Checks of exported graphs against the independent reference."""
