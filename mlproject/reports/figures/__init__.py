"""Pictures of results, the only importer of matplotlib: arrays in, a Figure out; `drawing.save` writes it."""
