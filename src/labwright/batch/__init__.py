"""Grading many machines."""
