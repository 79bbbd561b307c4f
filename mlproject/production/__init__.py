"""Lines in production: photos scored as they arrive, verdicts kept, drift reported, corrections fed back."""
