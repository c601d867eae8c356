"""Translating for others: requests as they come, batched, bounded and recorded. Servers speak a protocol over it."""
