"""Memory that large requests took is given back when they are over."""

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE_BYTES = 256 * 1024


def give_back_large_blocks() -> None:
    """Once, at the start of a process.

    glibc asks the kernel for a large block by itself and gives it back when it is freed; but it takes that for a sign
    that there will be more of the size, and from then on keeps them among the small ones, in holes. Pictures are large
    blocks: under attack this process kept 130 MB more.
    """
    with suppress(AttributeError):  # another C library, which has no such habit
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
