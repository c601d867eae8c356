"""Running a plan: each step from the cache or done now."""
