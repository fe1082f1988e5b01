"""What large blocks took is not kept when they are freed. In a process of its own, whose memory is looked at."""

import platform
import subprocess
import sys

import pytest

from orchestrator.memory import give_back_large_blocks

BLOCKS, BLOCK_BYTES = 64, 1024 * 1024
# A small block stays beside each large one, so that the heap cannot simply shrink.
KEPT = f"""
import resource
from pathlib import Path
from orchestrator.memory import give_back_large_blocks

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

BEGIN
small = []
before = resident_bytes()
for _ in range(2):
    large = []
    for number in range({BLOCKS}):
        large.append(b"x" * ({BLOCK_BYTES} + number))
        small.append(b"y" * 2_000)
    del large
print(resident_bytes() - before)
"""


def kept_bytes(begin: str) -> int:
    child = [sys.executable, "-c", KEPT.replace("BEGIN", begin)]
    return int(subprocess.run(child, capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a habit of glibc")
def test_large_blocks_are_given_back() -> None:
    assert kept_bytes("") > BLOCKS * BLOCK_BYTES / 2
    assert kept_bytes(f"{give_back_large_blocks.__name__}()") < BLOCKS * BLOCK_BYTES / 8
