"""A lab as data: its document, its definition, claims, variants, and its own checks."""
