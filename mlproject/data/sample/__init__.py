"""The built-in sample."""
