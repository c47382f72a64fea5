"""Noticing a training that breaks, before what it broke is saved."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_structsr.errors import TrainingError

__all__ = ["LossMonitor"]

_RUNAWAY = 10.0  # times the lowest loss of the phase
_MEMORY = 50  # steps over which losses are averaged


class LossMonitor:
    """Running means of the terms of the loss, kept on the device until looked at.

    Parameters
    ----------
    remedy
        What the user has got, and can do, when the training breaks.
    """

    def __init__(self, remedy: str) -> None:
        self.remedy = remedy
        self.lowest = math.inf
        self._means: dict[str, Tensor] = {}
        self._seen = 0

    def update(self, terms: dict[str, Tensor]) -> None:
        """Take in the terms of one step."""
        if terms.keys() != self._means.keys():  # another phase
            self._means, self._seen, self.lowest = {}, 0, math.inf
        self._seen += 1
        share = 1 / min(self._seen, _MEMORY)
        for name, value in terms.items():
            value = value.float()
            self._means[name] = torch.lerp(self._means.get(name, value), value, share)

    def check(self, step: int) -> dict[str, float]:
        """Return the means.

        Raises
        ------
        TrainingError
            If one of them is not finite, or the loss has run away.
        """
        means = {name: float(value) for name, value in self._means.items()}
        for name, value in means.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"the {name} term is {value} at step {step}; {self.remedy}"
                )
        aims = {"adversarial", "discriminator"}
        loss = sum(value for name, value in means.items() if name not in aims)
        if self._seen >= _MEMORY:
            self.lowest = min(self.lowest, loss)
            if loss > _RUNAWAY * self.lowest:
                raise TrainingError(
                    f"the loss has risen from {self.lowest:.3g} to {loss:.3g} at step "
                    f"{step}: the training diverges; {self.remedy}"
                )
        return means
