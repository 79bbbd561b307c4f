"""Image anomaly detectors compared, tracked and reused: KD-CAE, NI-CAE and their baselines."""

__version__ = "0.2.0"
