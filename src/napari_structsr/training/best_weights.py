"""Keeping the best weights of a training, and noticing that no better ones come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["BestWeights"]

_PREFIX = "best."


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

    def see(
        self, weights: Mapping[str, Tensor], height: float, *, phase: int = 0
    ) -> None:
        """Keep weights if they score higher than those before.

        A new phase begins anew: what an adversary makes of a network is not to be
        compared with what was there before it.
        """
        self.seen += 1
        if phase != self._phase:
            self._phase, self.highest = phase, -math.inf
        if height > self.highest:
            self.highest, self.stale = height, 0
            self.weights = dict(weights)
        else:
            self.stale += 1

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights as they stand in a checkpoint."""
        return {f"{_PREFIX}{name}": value for name, value in self.weights.items()}

    def facts(self) -> dict[str, Any]:
        """Return all else that stands in a checkpoint."""
        highest = self.highest if self.weights else None
        numbers = {"stale": self.stale, "seen": self.seen, "phase": self._phase}
        return {"highest": highest} | numbers

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take up what a checkpoint holds."""
        self.weights = {
            name.removeprefix(_PREFIX): value
            for name, value in tensors.items()
            if name.startswith(_PREFIX)
        }
        self.highest = -math.inf if facts["highest"] is None else facts["highest"]
        self.stale, self.seen = facts["stale"], facts["seen"]
        self._phase = facts["phase"]
