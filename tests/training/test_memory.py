"""Memory that a training step frees is there for the next one, without the system's work."""

import subprocess
import sys
from textwrap import dedent

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_an_array_as_large_as_the_one_before_is_no_fresh_memory():
    program = dedent("""
        import resource
        import numpy as np
        from mlproject.training import memory
        memory.stays()
        def pages():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            np.ones(64 * 2**20, dtype=np.uint8)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        first = pages()
        print(first, pages())
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert first > 20  # large pages of 2 MiB at least
    assert second < first / 4
