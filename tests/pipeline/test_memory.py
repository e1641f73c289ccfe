"""Freed memory is used again, without new pages from the system."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from flowglass.pipeline.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def fill():
    np.empty(2**27, np.uint8).fill(1)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, keep: bool) -> int:
    """How many pages a block of 128 MB needs when it is allocated a second time."""
    options = [sys.executable, "-c", PROGRAM, "keep" if keep else "give back"]
    done = subprocess.run(options, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_large_block_is_used_again() -> None:
    """Without it the system hands out and zeroes every page anew."""
    assert faults(keep=True) < 20 < faults(keep=False)
