"""The pixels that a calibration is fitted from, in separated patches of pairs.

Every pair is normalised as in an upscaling, by the range of its own measured image. A
patch is a square of measured pixels; the gap between two is wider than what the error
of a pixel depends on, so that patches are independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.core.intensity import Intensity, fit_intensity
from napari_structsr.core.types import Float32Array, Float64Array
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.expected_error import (
    TrustInputs,
    describe_image,
    pixel_features,
)
from napari_structsr.imaging.forward import noise_variance
from napari_structsr.imaging.out_of_distribution import compute_input_statistics
from napari_structsr.models.conditional_generator import noise_level
from napari_structsr.models.model import SRModel

SIDE = 16
"""Measured pixels along the side of a patch."""

GAP = 8
"""Measured pixels between two patches."""

_PIXELS = 256  # of each patch that count


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
        Kind of image.
    image
        Name of the image; pairs of one name, such as several measurements of it, never
        lie in both halves. None is an image of its own.
    intensity
        Of the whole image that `measured` was cut from; None measures it there.
    psf_sigma
        Width of the point-spread function that a conditional model is told, in measured
        pixels; None takes the one that it is told by default.
    """

    measured: npt.NDArray[np.generic]
    truth: npt.NDArray[np.generic]
    source: str = ""
    image: str | None = None
    intensity: Intensity | None = None
    psf_sigma: float | None = None


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
        Of each measured image, `imaging.out_of_distribution`.
    """

    features: Float32Array
    errors: Float32Array
    image: npt.NDArray[np.int64]
    source: npt.NDArray[np.str_]
    statistics: tuple[dict[str, float], ...]

    def __len__(self) -> int:
        return len(self.errors)

    def select(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Samples:
        """Keep some patches."""
        return Samples(
            self.features[chosen],
            self.errors[chosen],
            self.image[chosen],
            self.source[chosen],
            self.statistics,
        )

    def flatten(self) -> tuple[Float32Array, Float32Array, Float64Array]:
        """Return features, errors and weights of all pixels, images being the units."""
        weights = np.repeat(self.weights(self.image), self.errors.shape[1])
        features = self.features.reshape(-1, self.features.shape[-1])
        return features, self.errors.ravel(), weights

    def weights(self, units: npt.NDArray[np.integer]) -> Float64Array:
        """Weigh patches so that the units of a source count alike.

        A source weighs as the square root of its number of units, as in a training, so
        that neither a large source nor one of a single image decides alone.

        Parameters
        ----------
        units
            Index of the unit of each patch, such as `image`.

        Returns
        -------
        ndarray
            Shape (patches,), of mean 1.
        """
        weights: Float64Array = np.empty(len(self))
        for source in np.unique(self.source):
            mine = self.source == source
            _, number, patches = np.unique(
                units[mine], return_inverse=True, return_counts=True
            )
            # alike within a source; sources by the root of their number of units
            weights[mine] = 1 / (patches[number] * math.sqrt(len(patches)))
        weights /= weights.mean()
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
        What upscales. A conditional model is told the width of each pair, and the
        noise that is measured in it.
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
    # one generator for all pairs: their order is a part of the choice
    random = np.random.default_rng(seed)
    found: list[tuple[Float32Array, Float32Array]] = []
    sources: list[str] = []
    images: list[int] = []
    numbers: dict[tuple[str, str | int], int] = {}
    statistics = []
    for number, pair in enumerate(pairs):
        measured, truth, intensity = _normalise_pair(pair, model.factor, number)
        variance = noise_variance(measured, intensity)
        values = compute_input_statistics(measured, variance)
        statistics.append({name: float(value) for name, value in values.items()})
        told, image = model, tuple[float, ...]()
        if model.conditional:
            width = model.card.psf_sigma if pair.psf_sigma is None else pair.psf_sigma
            optics = {
                "psf_sigma": model.nearest_width(width),
                "noise": noise_level(*intensity.relative_noise),
            }
            told = model.with_optics(**optics)
            image = describe_image(**optics, statistics=statistics[-1])
        result = (run(told, measured) if run else told(measured)).cpu()
        inputs = TrustInputs(result, variance, image)
        features = pixel_features(inputs)[0].movedim(0, -1)
        errors = (result[0, 0] - truth).abs()
        both = features.numpy(), errors.numpy()
        found.append(_cut_patches(*both, model.factor, patches, random))
        sources.append(pair.source)
        # several measurements of one image are one image, or both halves would hold it
        key = (pair.source, number if pair.image is None else pair.image)
        images.append(numbers.setdefault(key, len(numbers)))
    if not found:
        raise TrainingError("there are no pairs to calibrate from; give at least one")
    all_features, all_errors = zip(*found, strict=True)
    counts = list(map(len, all_errors))
    return Samples(
        np.concatenate(all_features),
        np.concatenate(all_errors),
        np.repeat(np.array(images), counts),
        np.repeat(np.array(sources), counts),
        tuple(statistics),
    )


def _normalise_pair(
    pair: CalibrationPair, factor: int, number: int
) -> tuple[Tensor, Tensor, Intensity]:
    """Return measured image and truth in units of the range, and that range."""
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
    measured = torch.from_numpy(intensity.normalise(pair.measured))[None, None]
    truth = torch.from_numpy(intensity.normalise(pair.truth))
    return measured, truth, intensity


def _cut_patches(
    features: Float32Array,
    errors: Float32Array,
    factor: int,
    most: int,
    random: np.random.Generator,
) -> tuple[Float32Array, Float32Array]:
    """Cut separated patches, at most so many, and draw pixels of each."""
    # neighbouring pixels err together: a part of them tells as much, in less memory
    side, pitch = SIDE * factor, (SIDE + GAP) * factor
    # patches never reach beyond the image, and its remainder is left out
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
