"""The epoch loop, and what identifies a training."""
