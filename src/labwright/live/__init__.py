"""Follows a lab while a student does it: in the terminal, in the browser, on the class board."""
