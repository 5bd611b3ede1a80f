"""What the world looks like: O1, procedural and real cities, your own from a map file."""
