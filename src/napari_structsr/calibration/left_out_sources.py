"""Intervals for a new source: sources are left out in turn, and decide as units.

Images of one source are alike, and what users have is another source. So the network
that predicts errors is fitted without some of the sources, and judged on these alone;
the factor on its bound is the least with which the mean share of pixels inside, over
the sources left out and less its standard error, reaches what is promised. It is wider
than a factor from images of the same sources by what sources differ.
"""

from __future__ import annotations

import math
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
_RANGE = 1e-2, 1e2  # of factors


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
    """Return the least factor on a bound that promises a share of pixels.

    Parameters
    ----------
    ratios
        Errors over the bounds of `predict_left_out`, shape (patches, pixels).
    samples
        Whose they are.
    level
        Share of pixels of a new source.
    """
    low, high = _RANGE
    # bisection: the share hardly ever falls with the factor
    for _ in range(40):
        middle = math.sqrt(low * high)
        shares = np.array(list(measure_coverage(ratios / middle, samples).values()))
        error = shares.std(ddof=1) / math.sqrt(len(shares))
        if shares.mean() - error < level:
            low = middle
        else:
            high = middle
    return high


def measure_coverage(ratios: Float64Array, samples: Samples) -> dict[str, float]:
    """Return the share of ratios of at most 1 by source, the mean over its patches."""
    inside = (ratios <= 1).mean(axis=1)
    return {
        str(source): float(inside[samples.source == source].mean())
        for source in np.unique(samples.source)
    }
