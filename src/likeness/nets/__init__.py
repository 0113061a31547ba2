"""Building blocks shared by methods and training. No checkpoint, no file."""
