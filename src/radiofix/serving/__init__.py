"""Fixes for whoever has CSI: read, located, fused, tracked, written in the formats of maps."""
