"""How wide the blur of an image may be, from what it shows: a range, not a number.

Three curves over the evidence, for the least, the likeliest and the most that the width
may be, were fitted to the training images of this project and to simulated beads and
filaments, blurred by Gaussians and Airy patterns of known width and seen by 20 to
20,000 photons (`python -m benchmarks.estimators --fit`). The range is as wide as images
of a source that was left out of the fit need it. Where noise hides detail it is about
as wide as what was trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_structsr.core.intensity import Intensity
from napari_structsr.core.optics import FoundWidth
from napari_structsr.core.types import Array, Float64Array
from napari_structsr.imaging.blur_width.evidence import Evidence, gather_evidence

RANGE = (0.25, 2.0)
"""Widths in measured pixels among which the truth was looked for."""

_ORIGIN = "estimated from the image"
# Least and most that training images showed of each number of `describe`.
_SEEN = (
    (-0.412, 1.628),
    (-1.897, 1.386),
    (-1.609, 1.386),
    (-3.648, -0.704),
    (-4.790, -1.821),
)
# Of each term of `expand`, for the least, the likeliest and the most.
_CURVES = (
    (-0.394, -0.001, 0.401),
    (-0.147, 1.013, 0.503),
    (-0.431, -0.362, -0.036),
    (0.100, 0.471, 0.196),
    (0.241, 0.158, -0.004),
    (0.537, 0.132, 0.009),
    (-0.078, -0.598, -0.482),
    (0.095, 0.016, -0.009),
    (-0.114, 0.084, -0.141),
    (0.090, 0.073, -0.015),
    (0.017, 0.094, 0.050),
    (-0.202, -0.217, -0.052),
)
_MARGINS = (0.070, 0.048)  # that new sources need below and above


def estimate_width(blocks: Sequence[Array], intensity: Intensity) -> FoundWidth:
    """Return how wide the blur of a channel may be.

    Parameters
    ----------
    blocks
        Parts of its planes, shape (y, x); of each plane the busiest tell most.
    intensity
        Range and noise of the channel.
    """
    evidence = gather_evidence(blocks, intensity)
    low, high = RANGE
    if evidence is None:
        return FoundWidth((low * high) ** 0.5, low, high, f"not seen, {_ORIGIN}")
    # beyond what was seen curves mean nothing
    terms = expand(np.clip(describe(evidence), *np.transpose(_SEEN)))
    least, middle, most = terms @ np.array(_CURVES)
    least = min(least, middle) - _MARGINS[0]
    most = max(most, middle) + _MARGINS[1]
    least, middle, most = np.clip(np.exp([least, middle, most]), low, high)
    return FoundWidth(float(middle), float(least), float(most), _ORIGIN)


def describe(evidence: Evidence) -> Float64Array:
    """Return five numbers of order one that stand for the evidence."""
    return np.log(
        [
            evidence.cut_off,
            max(evidence.spectrum, 0.15),
            max(evidence.edges, 0.2),
            evidence.reach,
            max(evidence.noise, 1e-4),
        ]
    )


def expand(features: Float64Array) -> Float64Array:
    """Return the terms of the curves: what is seen means more where there is light."""
    cut_off, spectrum, edges, reach, noise = np.moveaxis(features, -1, 0)
    return np.stack(
        [
            np.ones_like(cut_off),
            cut_off,
            spectrum,
            edges,
            reach,
            noise,
            cut_off**2,
            noise**2,
            cut_off * noise,
            reach * noise,
            edges * noise,
            spectrum * noise,
        ],
        axis=-1,
    )
