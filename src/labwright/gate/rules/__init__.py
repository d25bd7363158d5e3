"""What breaks a document for the people who follow it."""
