"""Running a plan, and what comes of it."""
