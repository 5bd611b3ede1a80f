"""From recipes to trained models: one loop, whatever is trained."""
