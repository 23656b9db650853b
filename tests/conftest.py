"""Hypothesis: the same examples on every machine and every day, however slow the machine."""

from hypothesis import settings

settings.register_profile("convpipe", derandomize=True, deadline=None)
settings.load_profile("convpipe")
