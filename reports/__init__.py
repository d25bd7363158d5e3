"""What becomes of a score."""
