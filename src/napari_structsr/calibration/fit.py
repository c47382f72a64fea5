"""The calibration of the expected error, fitted from measured and true images.

Pairs are cut into separated patches. With enough of them, half fit the network that
predicts errors and the other half decide, by conformal risk control, the factors of the
intervals; with fewer, the network of an earlier calibration is kept and all patches
decide. Halves are told apart by image where there are several, so that no image counts
in both.

Patches of one image are alike, so that many patches of few images promise little for a
new image. Where there are enough images, each counts as one, and the promise is for
images; else it is for patches of the same images. Where there are enough sources, these
count, and the promise is for images of a new source, see `left_out_sources`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.calibration.conformal import (
    count_effective_units,
    find_controlled_factor,
)
from napari_structsr.calibration.error_network import fit_predictor
from napari_structsr.calibration.left_out_sources import (
    STEPS,
    find_source_factor,
    measure_coverage,
    predict_left_out,
)
from napari_structsr.calibration.samples import GAP, SIDE, Samples
from napari_structsr.core.types import Float64Array
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.expected_error import (
    FEATURES,
    TOLD_FEATURES,
    ErrorPredictor,
)
from napari_structsr.imaging.out_of_distribution import find_input_ranges
from napari_structsr.models.calibration import Interval, NetworkLayer, TrustCalibration
from napari_structsr.models.model import SRModel

LEAST_PATCHES = 50
"""Below that nothing is calibrated: 2% observed misses of 50 patches leave a risk of at
most 10%, at 90% confidence."""

ENOUGH_TO_FIT = 200
"""Patches from which on the network is fitted anew."""

LEVELS = (0.8, 0.9, 0.95)
_USUAL_LEVEL = 0.9
_ENOUGH_IMAGES = 20  # that say what is usual
_ENOUGH_TO_DECIDE = 50  # images; with fewer, patches decide
_DIGITS = 5


def calibrate(
    samples: Samples,
    model: SRModel,
    *,
    start: TrustCalibration | None = None,
    refit: bool | None = None,
    left_out: Mapping[str, ErrorPredictor] | None = None,
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
    left_out
        Networks of `fit_left_out`, where the intervals shall hold for images of a new
        source: the network is fitted to all patches then, and these decide.
    conditions
        How the images were measured, in words.
    seed
        Of the fit.

    Raises
    ------
    TrainingError
        If there are too few patches.
    """
    features = _name_features(samples)
    if start is not None and start.features != features:
        start = None  # made before the model was told the optics
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
    deciding = samples
    if left_out is not None:
        fitted = fit_predictor(*samples.flatten(), seed=seed, steps=STEPS)
        predictor = _round_predictor(fitted)
        mean, bound = predict_left_out(samples, left_out)
    else:
        if start is not None and not refit:
            predictor = start.predictor
        else:
            first = _mark_fitting_half(samples)
            fitting = samples.select(first)
            predictor = _round_predictor(fit_predictor(*fitting.flatten(), seed=seed))
            # pixels that fitted the network never decide: they would flatter intervals
            deciding = samples.select(~first)
        found = predictor(torch.from_numpy(deciding.features)).exp().numpy()
        mean, bound = found[..., 0], found[..., 1]
    ratios = deciding.errors / bound
    weights, number = _weigh_units(deciding)

    def find_factor(level: float) -> float:
        if left_out is not None:
            return find_source_factor(ratios, deciding, level=level)
        return find_controlled_factor(
            ratios, alpha=1 - level, weights=weights, number=number
        )

    factors = {level: round(find_factor(level), _DIGITS) for level in LEVELS}
    held = measure_coverage(ratios / factors[_USUAL_LEVEL], deciding)
    expected = weights @ mean.mean(axis=1)
    return TrustCalibration(
        model=model.card.name,
        factor=model.factor,
        features=features,
        means=_list_numbers(predictor.means),
        deviations=_list_numbers(predictor.deviations),
        layers=tuple(
            NetworkLayer(
                weight=tuple(map(_list_numbers, weight)), bias=_list_numbers(bias)
            )
            for weight, bias in zip(predictor.weights, predictor.biases, strict=True)
        ),
        # the expected error is only scaled to the mean; intervals are controlled
        scale=round(float(weights @ deciding.errors.mean(axis=1) / expected), _DIGITS),
        intervals=tuple(
            Interval(level=level, factor=factor) for level, factor in factors.items()
        ),
        left_out={k: round(v, 3) for k, v in held.items()} if left_out else {},
        patches=len(deciding),
        images=len(np.unique(deciding.image)),
        side=SIDE,
        gap=GAP,
        sources=tuple(dict.fromkeys(filter(None, samples.source.tolist()))),
        conditions=conditions,
        input_ranges=_widen_ranges(samples, start),
    )


def _name_features(samples: Samples) -> tuple[str, ...]:
    told = samples.features.shape[-1] == len(TOLD_FEATURES)
    return TOLD_FEATURES if told else FEATURES


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
