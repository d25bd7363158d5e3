"""The gate for a document: covered, linted, and followed to the letter on a machine."""
