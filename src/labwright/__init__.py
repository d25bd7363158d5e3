"""Performs, verifies and grades hands-on labs on real machines, with pytest."""

__version__ = "0.1.0"
