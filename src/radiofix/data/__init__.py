"""Stores on disk, their splits and checks, and importers that make them."""
