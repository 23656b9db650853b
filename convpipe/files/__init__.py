"""Guarded readers and writers of files."""
