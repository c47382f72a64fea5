"""Pages that stay for the next layer, and go back after the run."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
from napari_structsr.engine.memory import keep_pages, return_pages

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.full(5_000_000, 1.0)  # 40 MB, as a feature map
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

freed = count_faults()
keep_pages()
np.full(5_000_000, 1.0)
kept = count_faults()
held = resident()
return_pages()
print(freed, kept, held - resident())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other allocators are left alone"
)
def test_freed_pages_are_taken_again_and_go_back_at_the_end():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    freed, kept, returned = map(int, done.stdout.split())
    assert kept < 0.1 * freed
    assert returned * 4096 > 20e6
