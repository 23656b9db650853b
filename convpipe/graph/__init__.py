"""Settings become a graph of operations, solved over integers, that prints itself."""
