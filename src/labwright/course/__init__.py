"""The document that people follow."""
