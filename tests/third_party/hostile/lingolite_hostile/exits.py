"""Ends the process at import."""

import sys

sys.exit("this plugin wants no other")
