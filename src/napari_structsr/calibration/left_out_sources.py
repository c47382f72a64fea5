"""Intervals for a new source: sources are left out in turn, and decide as units.

Images of one source are alike, and what users have is another source. So the network
that predicts errors is fitted without some of the sources, and judged on these alone.
Each source needs a factor of its own on the bound; what is taken is the median of
these. If a new source differs from those at hand as they do from each other, its share
of pixels inside reaches the level with a probability of at least a half, and misses it
by as much as sources differ.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from napari_structsr.calibration.error_network import fit_predictor
from napari_structsr.calibration.samples import Samples
from napari_structsr.core.types import Float64Array
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.expected_error import ErrorPredictor

LEAST_SOURCES = 8
"""Sources from which on they decide; fewer say too little of how sources differ."""

STEPS = 400
"""Of a fit for new sources; more change little."""

_PARTS = 4  # that are left out in turn


def fit_left_out(samples: Samples, *, seed: int = 0) -> dict[str, ErrorPredictor]:
    """Return, by source, a network that has not seen it.

    Raises
    ------
    TrainingError
        If there are too few sources.
    """
    sources = np.unique(samples.source)
    if len(sources) < LEAST_SOURCES:
        raise TrainingError(
            f"{len(sources)} sources do not say how a new one differs; give images of "
            f"{LEAST_SOURCES} or more, or calibrate for images of the same sources"
        )
    # shuffled, as neighbours in the alphabet are often of one laboratory
    shuffled = np.random.default_rng(seed).permutation(sources)
    found: dict[str, ErrorPredictor] = {}
    for number in range(_PARTS):
        out = shuffled[number::_PARTS]
        fitting = samples.select(~np.isin(samples.source, out))
        predictor = fit_predictor(*fitting.flatten(), seed=seed, steps=STEPS)
        found |= {str(source): predictor for source in out}
    return found


def predict_left_out(
    samples: Samples, predictors: Mapping[str, ErrorPredictor]
) -> tuple[Float64Array, Float64Array]:
    """Predict the errors of each patch by a network that has not seen its source.

    Returns
    -------
    mean, bound
        Of the absolute error of each pixel, shape (patches, pixels).
    """
    found = np.empty((2, *samples.errors.shape))
    for source in np.unique(samples.source):
        mine = samples.source == source
        features = torch.from_numpy(samples.features[mine])
        values = predictors[str(source)](features).exp().numpy()
        found[:, mine] = values.transpose(2, 0, 1)
    return found[0], found[1]


def find_source_factor(
    ratios: Float64Array, samples: Samples, *, level: float
) -> float:
    """Return the factor on a bound that the median source needs.

    Parameters
    ----------
    ratios
        Errors over the bounds of `predict_left_out`, shape (patches, pixels).
    samples
        Whose they are.
    level
        Share of the pixels of a source.
    """
    each = sorted(
        float(np.quantile(ratios[samples.source == source], level))
        for source in np.unique(samples.source)
    )
    # conformal: with n sources, n // 2 + 1 of n + 1 places lie at or below this one
    return each[len(each) // 2]


def measure_coverage(ratios: Float64Array, samples: Samples) -> dict[str, float]:
    """Return the share of ratios of at most 1 by source, the mean over its patches."""
    inside = (ratios <= 1).mean(axis=1)
    return {
        str(source): float(inside[samples.source == source].mean())
        for source in np.unique(samples.source)
    }
