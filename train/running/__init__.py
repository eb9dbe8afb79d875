"""What every run has: its folder, checkpoints, progress, and the watch over the embedding space."""
