"""What studies are built from."""
