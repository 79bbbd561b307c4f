"""Image anomaly detectors compared, tracked and reused: KD-CAE, NI-CAE and their baselines."""

import os

__version__ = "0.3.0"

# Idle threads of PyTorch sleep instead of spinning; read when PyTorch is first imported. Beside a process
# that keeps one core busy, spinning made a training a third longer; on idle cores, 6 % shorter
# (benchmarks/waiting_threads.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# PyTorch's large arrays on large pages (Linux), likewise: fresh memory is the system's work each time that a
# network's layers need hundreds of MB. Trainings of NI-CAE at 256 px and of DCGAN at 128 px take a quarter
# less processor time, with the same bytes (`make bench`: against plain PyTorch).
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
