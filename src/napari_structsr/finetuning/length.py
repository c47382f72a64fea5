"""How long a fine-tuning takes, and when it is scored on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_structsr.finetuning.config import FineTuneConfig

__all__ = ["TuningLength"]

_LOOKS = 12  # scores of a fine-tuning, at least
_LONGEST = 30.0  # seconds between two scores
_MOST_STEPS = 500  # between two scores


@dataclass(frozen=True)
class TuningLength:
    """A length, in seconds or in steps.

    Parameters
    ----------
    timed
        Whether seconds count, otherwise steps do.
    end
        Seconds or steps in all.
    every
        Seconds or steps between two scores.
    """

    timed: bool
    end: float
    every: float

    @classmethod
    def of(cls, config: FineTuneConfig) -> TuningLength:
        """Take the length that is asked for."""
        if config.minutes:
            end = 60 * config.minutes
            return cls(True, end, min(end / _LOOKS, _LONGEST))
        steps = config.steps or 1
        return cls(False, steps, min(math.ceil(steps / _LOOKS), _MOST_STEPS))

    def progress(self, step: int, seconds: float) -> float:
        """Return the share that is over."""
        return (seconds if self.timed else step) / self.end

    def count_done(self, step: int, seconds: float) -> tuple[int, int]:
        """Return what is done and what there is to do, in whole steps or seconds."""
        total = math.ceil(self.end)
        return min(int(seconds if self.timed else step), total), total

    def due(self, step: int, seconds: float, *, seen: int) -> bool:
        """Tell whether it is time for a score, after `seen` of them."""
        return (seconds if self.timed else step) >= self.every * (seen + 1)
