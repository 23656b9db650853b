"""Runs on disk: written, read, verified, collected; it needs nothing of what computed them."""
