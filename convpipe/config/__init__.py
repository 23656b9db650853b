"""Hydra: from what a user typed to frozen, checked settings."""
