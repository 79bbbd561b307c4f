"""MLflow's model registry: register, check, promote, compare and load versions."""
