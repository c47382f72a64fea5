"""The noise of a channel as a conditional model is told it, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_structsr.core.intensity import Intensity
from napari_structsr.models.conditional_generator import noise_level

LEVELS = (-2.5, -2.0, -1.5, -1.0, -0.5)
"""Noise for which it is known how far off an estimate is, in decades."""

# Decades that the truth lies below and above what was found: fine texture passes for
# noise where there is little of it, and few photons have no straight line of variance.
_BELOW = (0.179, 0.324, 0.347, 0.204, 0.050)
_ABOVE = (0.050, 0.050, 0.089, 0.163, 0.161)


@dataclass(frozen=True)
class FoundNoise:
    """Standard deviation of the noise at half of the range, relative to it.

    Parameters
    ----------
    level
        The likeliest.
    low, high
        Range that holds the truth nine times in ten.
    """

    level: float
    low: float
    high: float

    def describe(self) -> str:
        """Return level and range in words."""
        return (
            f"{self.level:.1%} of the range, 9 times in 10 {self.low:.1%} to "
            f"{self.high:.1%}"
        )


def measure_noise(intensity: Intensity) -> FoundNoise:
    """Return the noise of a channel whose range and noise were fitted."""
    level = noise_level(*intensity.relative_noise)
    place = np.log10(max(level, 1e-6))
    below, above = (float(np.interp(place, LEVELS, one)) for one in (_BELOW, _ABOVE))
    return FoundNoise(level, level / 10**below, level * 10**above)
