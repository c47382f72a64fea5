"""How busy a training keeps its device, so that waiting is noticed."""

from __future__ import annotations

import os
import time

import torch

__all__ = ["BusyMeter"]

_SKIPPED, _PROFILED = 60, 20  # steps; the first ones compile and fill caches


class BusyMeter:
    """Measures steps that run inside ``with meter:``.

    On CUDA the time of all kernels over the time that 20 steps take, measured once by
    torch's profiler; elsewhere the processor time over wall time times cores.
    """

    def __init__(self, kind: str) -> None:
        self._cuda = kind.startswith("cuda")
        self._steps = 0
        self._share: float | None = None
        self._wall = self._processor = 0.0
        self._profile: torch.profiler.profile | None = None

    def __enter__(self) -> None:
        if self._cuda and self._steps == _SKIPPED:
            torch.cuda.synchronize()
            self._profile = torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CUDA]
            )
            self._profile.start()
            self._begun = time.monotonic()
        self._start = time.monotonic(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self._steps += 1
        self._wall += time.monotonic() - self._start[0]
        self._processor += time.process_time() - self._start[1]
        if self._profile and self._steps == _SKIPPED + _PROFILED:
            torch.cuda.synchronize()
            wall = time.monotonic() - self._begun
            self._profile.stop()
            kernels = self._profile.key_averages()
            busy = sum(entry.self_device_time_total for entry in kernels) / 1e6
            self._share, self._profile = busy / wall, None

    def __str__(self) -> str:
        if self._cuda:
            return "" if self._share is None else f"GPU {self._share:.0%} busy"
        cores = min(torch.get_num_threads(), os.cpu_count() or 1)
        share = self._processor / (self._wall * cores) if self._wall else 0.0
        return f"{cores} cores {share:.0%} busy"
