"""The tables of the SigMap paper run again, and what decides whether a map helps."""
