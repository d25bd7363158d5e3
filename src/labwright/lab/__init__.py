"""A lab as data: its document, its definition, and the loading of its own checks."""
