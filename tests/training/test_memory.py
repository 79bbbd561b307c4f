"""Memory that a photo or a training step frees is there for the next one, without the system's work."""

import subprocess
import sys
from textwrap import dedent

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
@pytest.mark.parametrize(("setting", "size"), [("keep_between_steps", 64), ("keep_between_photos", 16)])
def test_an_array_as_large_as_the_one_before_is_no_fresh_memory(setting, size):
    program = dedent(f"""
        import resource
        import numpy as np
        from mlproject.training import memory
        memory.{setting}()
        def pages():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            np.ones({size} * 2**20, dtype=np.uint8)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        first = pages()
        print(first, pages())
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert first >= size / 2  # large pages of 2 MiB at least
    assert second < first / 4
