"""Sweeps: many points, all checked before any runs, resumable, here or on a cluster."""
