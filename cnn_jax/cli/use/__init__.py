"""The commands that use what a run has learned: on images, on features, elsewhere."""
