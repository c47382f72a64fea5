"""Calibrations of the expected error, fitted from pairs of measured and true images.

Pairs are cut into separated patches. With enough of them, half fit the network that
predicts errors and the other half decide, by conformal risk control, the factors of the
intervals; with fewer, the network of an earlier calibration is kept and all patches
decide. Halves are told apart by image where there are several, so that no image speaks
in both.

Every pair is normalised as in an upscaling, by the range of its own measured image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.core.intensity import Intensity, fit_intensity
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.expected_error import (
    FEATURES,
    ErrorPredictor,
    TrustInputs,
    pixel_features,
)
from napari_structsr.imaging.familiarity import input_ranges, input_statistics
from napari_structsr.models.calibration import Interval, Layer, TrustCalibration
from napari_structsr.models.model import SRModel
from napari_structsr.training.conformal import controlled_factor
from napari_structsr.training.error_network import fit_predictor

__all__ = ["LEAST_PATCHES", "CalibrationPair", "Samples", "calibrate", "sample_pairs"]

LEAST_PATCHES = 50
"""Below that nothing is calibrated: 2% observed misses of 50 patches leave a risk of at
most 10%, at 90% confidence."""

ENOUGH_TO_FIT = 200
"""Patches from which on the network is fitted anew."""

LEVELS = (0.8, 0.9, 0.95)
SIDE = 16
GAP = 8
_PIXELS = 256  # of each patch that count
_DIGITS = 5

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CalibrationPair:
    """A measured image and the truth on the finer grid, in one unit.

    Parameters
    ----------
    measured
        Shape (h, w), finite.
    truth
        Shape (factor h, factor w), finite.
    source
        Kind of image; each kind counts alike.
    image
        Name of the image; pairs of one name, such as several measurements of it, never
        lie in both halves. None is an image of its own.
    intensity
        Range and noise of the whole image that `measured` was cut from; None measures
        them on `measured`.
    """

    measured: npt.NDArray[np.generic]
    truth: npt.NDArray[np.generic]
    source: str = ""
    image: str | None = None
    intensity: Intensity | None = None


@dataclass(frozen=True)
class Samples:
    """Errors and features of pixels, by patch.

    Parameters
    ----------
    features
        Shape (patches, pixels, features).
    errors
        Absolute errors in units of the range of the measured image, shape (patches,
        pixels).
    image
        Index of the image of each patch.
    source
        Kind of image of each patch.
    statistics
        Of each measured image, `imaging.familiarity`.
    """

    features: Pixels
    errors: Pixels
    image: npt.NDArray[np.int64]
    source: npt.NDArray[np.str_]
    statistics: tuple[dict[str, float], ...]

    def __len__(self) -> int:
        return len(self.errors)

    def part(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Samples:
        """Keep some patches."""
        return Samples(
            self.features[chosen],
            self.errors[chosen],
            self.image[chosen],
            self.source[chosen],
            self.statistics,
        )

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Weight of each patch with which every source counts alike, of mean 1."""
        _, kind, counts = np.unique(
            self.source, return_inverse=True, return_counts=True
        )
        weights: npt.NDArray[np.float64] = len(self) / (len(counts) * counts[kind])
        return weights


def sample_pairs(
    pairs: Iterable[CalibrationPair],
    model: SRModel,
    *,
    patches: int = 100,
    run: Callable[[SRModel, Tensor], Tensor] | None = None,
    seed: int = 0,
) -> Samples:
    """Upscale the measured images and collect errors and features of their patches.

    Parameters
    ----------
    pairs
        At least one; each is asked for once.
    model
        What upscales.
    patches
        Of each image at most, chosen at random.
    run
        Runs the model on a normalised image, such as `Device.run`; by default as it is.
    seed
        Of the choice of patches and pixels.

    Raises
    ------
    TrainingError
        If shapes do not fit, or an image holds NaN or one number only.
    """
    random = np.random.default_rng(seed)
    found: list[tuple[Pixels, Pixels]] = []
    sources: list[str] = []
    images: list[int] = []
    numbers: dict[tuple[str, str | int], int] = {}
    statistics = []
    for number, pair in enumerate(pairs):
        measured, variance, truth = _normalised(pair, model.factor, number)
        result = (run or _as_it_is)(model, measured).cpu()
        features = pixel_features(TrustInputs(result, variance))[0].movedim(0, -1)
        errors = (result[0, 0] - truth).abs()
        statistics.append(
            {
                name: float(value)
                for name, value in input_statistics(measured, variance).items()
            }
        )
        found.append(
            _patches(features.numpy(), errors.numpy(), model.factor, patches, random)
        )
        sources.append(pair.source)
        key = (pair.source, number if pair.image is None else pair.image)
        images.append(numbers.setdefault(key, len(numbers)))
    if not found:
        raise TrainingError("there are no pairs to calibrate from; give at least one")
    counts = [len(errors) for _, errors in found]
    return Samples(
        np.concatenate([features for features, _ in found]),
        np.concatenate([errors for _, errors in found]),
        np.repeat(np.array(images), counts),
        np.repeat(np.array(sources), counts),
        tuple(statistics),
    )


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
        first = _halves(samples)
        fitting, deciding = samples.part(first), samples.part(~first)
        predictor = _rounded(_fitted(fitting, seed))
        means, deviations = _listed(predictor.means), _listed(predictor.deviations)
        layers = tuple(
            Layer(weight=tuple(map(_listed, weight)), bias=_listed(bias))
            for weight, bias in zip(predictor.weights, predictor.biases, strict=True)
        )
    deciding = _even(deciding, seed)
    mean, bound = predictor(torch.from_numpy(deciding.features)).exp().unbind(-1)
    ratios = deciding.errors / bound.numpy()
    return TrustCalibration(
        model=model.card.name,
        factor=model.factor,
        features=FEATURES,
        means=means,
        deviations=deviations,
        layers=layers,
        scale=round(float(deciding.errors.mean() / mean.mean()), _DIGITS),
        intervals=tuple(
            Interval(
                level=level,
                factor=round(controlled_factor(ratios, alpha=1 - level), _DIGITS),
            )
            for level in LEVELS
        ),
        patches=len(deciding),
        images=len(np.unique(deciding.image)),
        side=SIDE,
        gap=GAP,
        sources=tuple(dict.fromkeys(filter(None, samples.source.tolist()))),
        conditions=conditions,
        input_ranges=input_ranges(samples.statistics),
    )


def _as_it_is(model: SRModel, image: Tensor) -> Tensor:
    """Run a model where it is."""
    return model(image)


def _normalised(
    pair: CalibrationPair, factor: int, number: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return measured image, variance of its noise and truth, in units of the range."""
    name = f"pair {number + 1}"
    wanted = tuple(factor * size for size in pair.measured.shape)
    if pair.measured.ndim != 2 or pair.truth.shape != wanted:
        raise TrainingError(
            f"{name} has measured pixels {pair.measured.shape} and true pixels "
            f"{pair.truth.shape}; expected planes, the true one {factor} times as "
            "large along both sides"
        )
    if not (np.isfinite(pair.measured).all() and np.isfinite(pair.truth).all()):
        raise TrainingError(f"{name} holds NaN or infinity; cut these regions off")
    intensity = pair.intensity or fit_intensity([pair.measured])
    if intensity.constant:
        raise TrainingError(f"{name} is constant; give an image with structure")
    measured = torch.from_numpy(intensity.normalised(pair.measured))[None, None]
    truth = torch.from_numpy(intensity.normalised(pair.truth))
    signal = measured.clamp_min(0) * (intensity.noise_gain / intensity.span)
    return measured, signal + intensity.noise_floor / intensity.span**2, truth


def _patches(
    features: Pixels,
    errors: Pixels,
    factor: int,
    most: int,
    random: np.random.Generator,
) -> tuple[Pixels, Pixels]:
    """Cut separated patches, at most so many, and draw pixels of each."""
    side, pitch = SIDE * factor, (SIDE + GAP) * factor
    rows, columns = (range(0, size - side + 1, pitch) for size in errors.shape)
    corners = [(top, left) for top in rows for left in columns]
    chosen = random.permutation(len(corners))[:most]
    pixels = min(_PIXELS, side**2)
    kept_features = np.empty((len(chosen), pixels, features.shape[-1]), np.float32)
    kept_errors = np.empty((len(chosen), pixels), np.float32)
    for index, number in enumerate(chosen):
        top, left = corners[number]
        place = np.s_[top : top + side, left : left + side]
        drawn = random.choice(side**2, pixels, replace=False)
        kept_features[index] = features[place].reshape(side**2, -1)[drawn]
        kept_errors[index] = errors[place].ravel()[drawn]
    return kept_features, kept_errors


def _halves(samples: Samples) -> npt.NDArray[np.bool_]:
    """Mark the patches that fit the network: every second image of each source.

    Of a source of one image, every second patch.
    """
    first = np.zeros(len(samples), bool)
    for source in np.unique(samples.source):
        mine = np.flatnonzero(samples.source == source)
        images = np.unique(samples.image[mine])
        if len(images) > 1:
            first[mine] = np.isin(samples.image[mine], images[::2])
        else:
            first[mine[::2]] = True
    return first


def _fitted(samples: Samples, seed: int) -> ErrorPredictor:
    """Fit a network to the pixels of all patches."""
    pixels = samples.errors.shape[1]
    return fit_predictor(
        samples.features.reshape(-1, len(FEATURES)),
        samples.errors.ravel(),
        np.repeat(samples.weights, pixels),
        seed=seed,
    )


def _even(samples: Samples, seed: int) -> Samples:
    """Keep as many patches of each source as the smallest has."""
    random = np.random.default_rng(seed)
    _, counts = np.unique(samples.source, return_counts=True)
    most = max(int(counts.min()), 1)
    kept = [
        random.permutation(np.flatnonzero(samples.source == source))[:most]
        for source in np.unique(samples.source)
    ]
    return samples.part(np.sort(np.concatenate(kept)))


def _rounded(predictor: ErrorPredictor) -> ErrorPredictor:
    """Round the numbers to those that are saved."""

    def short(values: Tensor) -> Tensor:
        return torch.tensor(np.round(values.numpy().astype(float), _DIGITS)).float()

    return ErrorPredictor(
        short(predictor.means),
        short(predictor.deviations).clamp_min(10**-_DIGITS),
        tuple(map(short, predictor.weights)),
        tuple(map(short, predictor.biases)),
    )


def _listed(values: Tensor) -> tuple[float, ...]:
    """Return numbers with the digits that count."""
    return tuple(round(float(value), _DIGITS) for value in values)
