"""Memory that glibc hands from one layer of a network to the next.

By default glibc gives a block of more than 32 MiB back to the system as soon as it is
free, and what lies at the end of its heap likewise: each feature map of each layer is
mapped and cleared anew, which costs a third to a half of the time of a network on a
CPU. Here freed pages stay for the next layer, and go back when a run is over. What it
costs is the peak: about a tenth more. Other systems' allocators are left alone.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import Any

# of malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_ARENAS = 2
_KEPT = 1 << 30  # bytes; no feature map is larger


@cache
def _load_glibc() -> Any | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


@cache  # once for a process
def keep_pages() -> None:
    """Let the process keep freed pages for the next allocation."""
    glibc = _load_glibc()
    if glibc is None:
        return
    # glibc keeps up to eight arenas a core, and in each what its threads have freed, so
    # that the peak of a run would grow with the number of cores
    glibc.mallopt(_ARENA_MAX, _ARENAS)
    glibc.mallopt(_MMAP_THRESHOLD, _KEPT)
    glibc.mallopt(_TRIM_THRESHOLD, _KEPT)


def return_pages() -> None:
    """Give what is free back to the system, as after a run in a viewer that stays."""
    glibc = _load_glibc()
    if glibc is not None:
        glibc.malloc_trim(0)
