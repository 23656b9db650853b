"""What kinds of sources there are, and what several of them need."""
