"""Foundation of every stage: errors, parameters, files and their locations."""
