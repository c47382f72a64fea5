"""What is watched while a network trains: its loss, its best weights, its device.

A loss that breaks ends the training before anything broken is saved.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from napari_structsr.errors import TrainingError
from napari_structsr.training.checkpoint import select_tensors

_RUNAWAY = 10.0  # times the lowest loss of the phase
_MEMORY = 50  # steps over which losses are averaged
_SKIPPED, _PROFILED = 60, 20  # steps; the first ones compile and fill caches
_PREFIX = "best"


class LossMonitor:
    """Running means of the terms of the loss.

    Parameters
    ----------
    remedy
        What the user has got, and can do, when the training breaks.
    """

    def __init__(self, remedy: str) -> None:
        self.remedy = remedy
        self.lowest = math.inf
        self._means: dict[str, Tensor] = {}
        self._steps = 0

    def update(self, terms: dict[str, Tensor]) -> None:
        """Add the terms of one step."""
        if terms.keys() != self._means.keys():  # another phase: losses are others
            self._means, self._steps, self.lowest = {}, 0, math.inf
        self._steps += 1
        # A true mean of the first steps, then one with a memory.
        share = 1 / min(self._steps, _MEMORY)
        for name, value in terms.items():
            # Means stay on the device: to read a number would wait for the GPU at
            # each step.
            value = value.float()
            self._means[name] = torch.lerp(self._means.get(name, value), value, share)

    def check(self, step: int) -> dict[str, float]:
        """Return the mean of each term.

        Raises
        ------
        TrainingError
            If one is not finite, or the loss has run away.
        """
        means = {name: float(value) for name, value in self._means.items()}
        for name, value in means.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"the {name} term is {value} at step {step}; {self.remedy}"
                )
        # Generator and discriminator pull against each other: their terms may rise
        # in a sound training.
        opposed = {"adversarial", "discriminator"}
        loss = sum(value for name, value in means.items() if name not in opposed)
        if self._steps >= _MEMORY:
            self.lowest = min(self.lowest, loss)
            if loss > _RUNAWAY * self.lowest:
                raise TrainingError(
                    f"the loss has risen from {self.lowest:.3g} to {loss:.3g} at step "
                    f"{step}: the training diverges; {self.remedy}"
                )
        return means


class BestWeights:
    """The weights with the highest score.

    Attributes
    ----------
    weights
        By the names of the parent; empty before the first score.
    highest
        Their score.
    stale
        Scores since then.
    seen
        Scores in all.
    """

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.highest = -math.inf
        self.stale = self.seen = self._phase = 0

    def update(
        self, weights: Mapping[str, Tensor], score: float, *, phase: int = 0
    ) -> None:
        """Keep weights if they score higher than those before, in the same phase."""
        self.seen += 1
        if phase != self._phase:
            # What an adversary makes of a network scores lower than what was there
            # before it, and is wanted nevertheless: comparing begins anew.
            self._phase, self.highest = phase, -math.inf
        if score > self.highest:
            self.highest, self.stale = score, 0
            self.weights = dict(weights)
        else:
            self.stale += 1

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights as they stand in a checkpoint."""
        return {f"{_PREFIX}.{name}": value for name, value in self.weights.items()}

    def facts(self) -> dict[str, Any]:
        """Return all else that stands in a checkpoint."""
        highest = self.highest if self.weights else None  # JSON knows no infinity
        numbers = {"stale": self.stale, "seen": self.seen, "phase": self._phase}
        return {"highest": highest} | numbers

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take what a checkpoint holds."""
        self.weights = select_tensors(tensors, _PREFIX)
        highest = facts["highest"]
        self.highest = -math.inf if highest is None else float(highest)
        self.stale, self.seen = int(facts["stale"]), int(facts["seen"])
        self._phase = facts["phase"]


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
        # Profiling costs time: 20 steps, once, after compilation has ended.
        if self._cuda and self._steps == _SKIPPED:
            torch.cuda.synchronize()  # else earlier steps are counted as well
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
