"""The labs that come with labwright."""
