"""What every stage stands on: errors, parameters, files and where they lie."""
