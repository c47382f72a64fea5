"""The calibration of the expected error, fitted from measured and true images.

Pairs are cut into separated patches. With enough of them, half fit the network that
predicts errors and the other half decide, by conformal risk control, the factors of the
intervals; with fewer, the network of an earlier calibration is kept and all patches
decide. Halves are told apart by image where there are several, so that no image counts
in both.

Patches of one image are alike, so that many patches of few images promise little for a
new image. Where there are enough images, each counts as one, and the promise is for
images; else it is for patches of the same images.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.calibration.conformal import (
    count_effective_units,
    find_controlled_factor,
)
from napari_structsr.calibration.error_network import fit_predictor
from napari_structsr.calibration.samples import GAP, SIDE, Samples
from napari_structsr.core.types import Float64Array
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.expected_error import FEATURES, ErrorPredictor
from napari_structsr.imaging.out_of_distribution import find_input_ranges
from napari_structsr.models.calibration import Interval, NetworkLayer, TrustCalibration
from napari_structsr.models.model import SRModel

LEAST_PATCHES = 50
"""Below that nothing is calibrated: 2% observed misses of 50 patches leave a risk of at
most 10%, at 90% confidence."""

ENOUGH_TO_FIT = 200
"""Patches from which on the network is fitted anew."""

LEVELS = (0.8, 0.9, 0.95)
_ENOUGH_IMAGES = 20  # that say what is usual
_ENOUGH_TO_DECIDE = 50  # images; with fewer, patches decide
_DIGITS = 5


def calibrate(
    samples: Samples,
    model: SRModel,
    *,
    start: TrustCalibration | None = None,
    refit: bool | None = None,
    conditions: str = "",
    seed: int = 0,
) -> TrustCalibration:
    """Make a calibration from the patches of pairs.

    Parameters
    ----------
    samples
        From `sample_pairs`.
    model
        Whose results they are.
    start
        Calibration whose network is kept where there are too few patches to fit one.
    refit
        Whether to fit the network; None does so with 200 patches or more, or where
        there is nothing to start from.
    conditions
        How the images were measured, in words.
    seed
        Of the fit.

    Raises
    ------
    TrainingError
        If there are too few patches.
    """
    count = len(samples)
    needed = LEAST_PATCHES if start and not refit else ENOUGH_TO_FIT
    if count < needed:
        raise TrainingError(
            f"the pairs hold {count} separated patches of {SIDE} x {SIDE} measured "
            f"pixels; a calibration of {model.card.name} needs {needed}: give larger "
            "or more images"
        )
    if refit is None:
        refit = start is None or count >= ENOUGH_TO_FIT
    if start is not None and not refit:
        deciding, predictor, layers = samples, start.predictor, start.layers
        means, deviations = start.means, start.deviations
    else:
        first = _mark_fitting_half(samples)
        fitting, deciding = samples.select(first), samples.select(~first)
        fitted = fit_predictor(
            fitting.features.reshape(-1, len(FEATURES)),
            fitting.errors.ravel(),
            np.repeat(fitting.weights(fitting.image), fitting.errors.shape[1]),
            seed=seed,
        )
        predictor = _round_predictor(fitted)
        means = _list_numbers(predictor.means)
        deviations = _list_numbers(predictor.deviations)
        layers = tuple(
            NetworkLayer(
                weight=tuple(map(_list_numbers, weight)), bias=_list_numbers(bias)
            )
            for weight, bias in zip(predictor.weights, predictor.biases, strict=True)
        )
    mean, bound = predictor(torch.from_numpy(deciding.features)).exp().unbind(-1)
    # pixels that fitted the network never decide: they would flatter the intervals
    ratios = deciding.errors / bound.numpy()
    weights, number = _weigh_units(deciding)
    expected = weights @ mean.numpy().mean(axis=1)
    return TrustCalibration(
        model=model.card.name,
        factor=model.factor,
        features=FEATURES,
        means=means,
        deviations=deviations,
        layers=layers,
        # the expected error is only scaled to the mean; intervals are controlled
        scale=round(float(weights @ deciding.errors.mean(axis=1) / expected), _DIGITS),
        intervals=tuple(
            Interval(
                level=level,
                factor=round(
                    find_controlled_factor(
                        ratios, alpha=1 - level, weights=weights, number=number
                    ),
                    _DIGITS,
                ),
            )
            for level in LEVELS
        ),
        patches=len(deciding),
        images=len(np.unique(deciding.image)),
        side=SIDE,
        gap=GAP,
        sources=tuple(dict.fromkeys(filter(None, samples.source.tolist()))),
        conditions=conditions,
        input_ranges=_widen_ranges(samples, start),
    )


def _widen_ranges(
    samples: Samples, start: TrustCalibration | None
) -> dict[str, tuple[float, float]]:
    """Return the ranges of statistics of the images, those of `start` included."""
    # what an earlier calibration has seen stays usual: ranges only grow
    known = dict(start.input_ranges) if start else {}
    # a few images alone say nothing of what is usual
    if not known and len(samples.statistics) < _ENOUGH_IMAGES:
        return {}
    for name, (low, high) in find_input_ranges(samples.statistics).items():
        lowest, highest = known.get(name, (low, high))
        known[name] = (
            round(min(low, lowest), _DIGITS),
            round(max(high, highest), _DIGITS),
        )
    return known


def _mark_fitting_half(samples: Samples) -> npt.NDArray[np.bool_]:
    """Mark the patches that fit the network: every second image of each source."""
    first = np.zeros(len(samples), bool)
    for source in np.unique(samples.source):
        mine = np.flatnonzero(samples.source == source)
        # sorted, so that halves do not depend on the order of patches
        images = np.unique(samples.image[mine])
        if len(images) > 1:
            first[mine] = np.isin(samples.image[mine], images[::2])
        else:
            # of a source of one image, every second patch
            first[mine[::2]] = True
    return first


def _weigh_units(samples: Samples) -> tuple[Float64Array, float]:
    """Return the weight of each patch, and how many independent units they are."""
    # units are images where enough of them count
    weights = samples.weights(samples.image)
    number = count_effective_units(samples.image, weights)
    # patches of one image are alike: the promise is for new patches of these images
    if number < _ENOUGH_TO_DECIDE:
        patches = np.arange(len(samples))
        weights = samples.weights(patches)
        number = count_effective_units(patches, weights)
    return weights, number


def _round_predictor(predictor: ErrorPredictor) -> ErrorPredictor:
    # before the intervals are fitted, as they hold for the network that is saved

    def short(values: Tensor) -> Tensor:
        return torch.tensor(np.round(values.numpy().astype(float), _DIGITS)).float()

    return ErrorPredictor(
        short(predictor.means),
        short(predictor.deviations).clamp_min(10**-_DIGITS),
        tuple(map(short, predictor.weights)),
        tuple(map(short, predictor.biases)),
    )


def _list_numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), _DIGITS) for value in values)
