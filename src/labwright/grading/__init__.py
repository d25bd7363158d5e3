"""Runs checks and makes a score of what they say; judges it again; known mistakes."""
