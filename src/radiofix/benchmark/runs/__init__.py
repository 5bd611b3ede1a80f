"""What every bench of many runs shares: lessons, methods, runs, outcomes, plans."""
