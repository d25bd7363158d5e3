"""A lab while it is done: followed in the terminal, and in the browser."""
