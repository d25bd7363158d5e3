"""This computer: its programs, temporary folders, and the progress of slow work."""
