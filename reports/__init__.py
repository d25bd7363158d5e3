"""Reports of a score."""
