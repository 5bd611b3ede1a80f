"""What needs no training, or next to none: waves, positions from them, and fingerprints."""
