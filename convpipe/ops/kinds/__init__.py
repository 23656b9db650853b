"""What an operation is, of which kinds there are, and how one is found by its name."""
