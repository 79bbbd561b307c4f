"""Image anomaly detectors compared, tracked and reused: KD-CAE, NI-CAE and their baselines."""

import os

__version__ = "0.3.0"

# Idle threads of PyTorch sleep instead of spinning; read when PyTorch is first imported. Beside a process
# that keeps one core busy, spinning made a training a third longer; on idle cores, 6 % shorter
# (benchmarks/waiting_threads.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
