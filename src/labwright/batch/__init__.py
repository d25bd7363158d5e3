"""A class of machines: from a roster to a gradebook."""
