"""Images in MVTec's folder layout: where they come from, what is in them, how they are split."""
