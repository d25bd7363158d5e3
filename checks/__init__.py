"""What can be claimed about a machine."""
