"""In which units images are compared, and whether they belong together at all.

Everything is measured on samples spread over the stack, or on the middle of a plane,
so that all tiles agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from napari_structsr.core.error_map import Need
from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Array
from napari_structsr.engine.statistics import measure_intensity, read_finite_samples
from napari_structsr.errors import PixelError
from napari_structsr.imaging.forward import noise_variance
from napari_structsr.imaging.out_of_distribution import (
    compute_input_statistics,
    describe_outliers,
)
from napari_structsr.imaging.squirrel import SquirrelFit, fit_squirrel
from napari_structsr.inspection.matching import MatchedImages, read_middle
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.source import Source
from napari_structsr.models.calibration import TrustCalibration
from napari_structsr.models.generator import interpolate

_FITTED_SIDE = 2048  # pixels of the part of a plane that SQUIRREL fits
_COMPARED_SIDE = 512  # pixels of the part of a plane on which images must correlate
_LEAST_CORRELATION = 0.3
_STRUCTURE = 4.0  # times the variance of the noise that an image must have for it


@dataclass(frozen=True)
class Scaling:
    """From pixel values of one channel to numbers near 0..1."""

    truth: Intensity  # of the reference; of the source where there is none
    measured: Intensity  # of the source, with its noise
    # result = gain * reference + offset
    gain: float = 1.0
    offset: float = 0.0


def measure_scalings(
    matched: MatchedImages, settings: InspectSettings
) -> tuple[Scaling, ...]:
    """Measure the units of every channel."""
    # without a reference its units are those of the source
    truth = matched.reference or matched.source or matched.result
    ranges = measure_intensity(truth)
    for image, name in ((truth, "reference"), (matched.result, "result")):
        found = ranges if image is truth else measure_intensity(image)
        if all(intensity.constant for intensity in found):
            kind = name if image is matched.result or matched.reference else "source"
            raise PixelError(
                f"all pixels of the {kind} {image.spec.name} are equal: there is no "
                "structure to compare; pick another image or channel"
            )
    measured = measure_intensity(matched.source) if matched.source else ranges
    scalings = [Scaling(*pair) for pair in zip(ranges, measured, strict=True)]
    if matched.reference is not None and settings.fit_intensity:
        fits = _fit_gains(matched)
        scalings = [
            replace(one, gain=gain, offset=offset)
            for one, (gain, offset) in zip(scalings, fits, strict=True)
        ]
    # a range that is given replaces what was measured, for the scores to be comparable
    if matched.reference is not None and settings.data_range:
        low, high = settings.data_range
        scalings = [
            replace(one, truth=replace(one.truth, low=low, high=high))
            for one in scalings
        ]
    return tuple(scalings)


def _fit_gains(matched: MatchedImages) -> list[tuple[float, float]]:
    """Fit gain and offset of the result against the reference, channel by channel."""
    assert matched.reference is not None
    found = []
    pairs = zip(
        read_finite_samples(matched.result),
        read_finite_samples(matched.reference),
        strict=True,
    )
    for channel, (results, truths) in enumerate(pairs):
        if len(results) != len(truths) or not results:
            raise PixelError(
                f"gain and offset of channel {channel} cannot be fitted: its samples "
                "hold pixels that are no numbers; leave the fit out"
            )
        x = np.concatenate([block.ravel() for block in results]).astype(float)
        z = np.concatenate([block.ravel() for block in truths]).astype(float)
        if z.std() == 0:  # no slope can be fitted: take the offset alone
            found.append((1.0, float(x.mean() - z.mean())))
            continue
        gain, offset = np.polyfit(z, x, 1)
        if not gain > 0:  # also true for NaN
            raise PixelError(
                f"the result falls where the reference rises (slope {gain:.3g} in "
                f"channel {channel}); the images do not belong together, or one is "
                "inverted: invert it first"
            )
        found.append((float(gain), float(offset)))
    return found


def make_squirrel_fit(
    matched: MatchedImages, scalings: Sequence[Scaling]
) -> Callable[[tuple[int, ...]], SquirrelFit]:
    """Return SQUIRREL's fit by plane, each found when it is first asked for."""
    source, factor = matched.source, matched.factor
    assert source is not None

    # maps ask for it tile by tile, and scores once again for each plane
    # in one mode, since kernels of torch differ by their rounding, and whoever asks
    # first differs between a plain run, one gone on with, and one on a cluster
    @lru_cache(maxsize=64)
    @torch.inference_mode()
    def fit(plane: tuple[int, ...]) -> SquirrelFit:
        scaling = scalings[matched.result.spec.axes.channel_of(plane)]
        image, measured = (
            torch.from_numpy(scaling.measured.normalise(fill_with_mean(pixels)))[None]
            for pixels in read_middle(
                matched.result, source, factor, plane=plane, side=_FITTED_SIDE
            )
        )
        base = interpolate(measured, factor, mode="bicubic")
        return fit_squirrel(image, base)

    return fit


def fill_with_mean(pixels: Array) -> Array:
    """Replace what is no number by the mean of the rest."""
    known = np.isfinite(pixels)
    if known.all():  # the common case: no copy
        return pixels
    mean = pixels[known].mean() if known.any() else 0.0
    return np.where(known, pixels, mean)


def find_dissimilar_images(
    matched: MatchedImages, scalings: Sequence[Scaling]
) -> list[tuple[Need, str]]:
    """Say which image hardly correlates with the result, in the middle of a plane.

    Each sentence comes after what it makes doubtful.
    """
    axes = matched.result.spec.axes
    planes = list(axes.planes())
    plane = planes[len(planes) // 2]
    scaling = scalings[axes.channel_of(plane)]
    found: list[tuple[Need, str]] = []
    roles: tuple[tuple[Source | None, Need, int, Intensity], ...] = (
        (matched.reference, "reference", 1, scaling.truth),
        (matched.source, "source", matched.factor, scaling.measured),
    )
    for other, name, step, intensity in roles:
        if other is None:
            continue
        x, z = (
            fill_with_mean(pixels.astype(np.float64))[0]
            for pixels in read_middle(
                matched.result, other, step, plane=plane, side=_COMPARED_SIDE
            )
        )
        # bin the result to the pixels of the other image
        x = x.reshape(z.shape[0], step, z.shape[1], step).mean(axis=(1, 3))
        noise = intensity.find_noise(float(z.mean()))
        # noise does not correlate: say nothing of an empty field
        if np.ptp(x) == 0 or np.ptp(z) == 0 or z.var() < _STRUCTURE * noise:
            continue
        correlation = float(np.corrcoef(x.ravel(), z.ravel())[0, 1])
        if abs(correlation) < _LEAST_CORRELATION:
            sentence = (
                f"the result hardly resembles the {name} (correlation "
                f"{correlation:.2f} in the middle): is the {name} another image or "
                "plane, or is one of them flipped, turned or moved?"
            )
            found.append((name, sentence))
    return found


def measure_statistics(
    source: Source, scalings: Sequence[Scaling]
) -> tuple[dict[str, float], ...]:
    """Return `compute_input_statistics` of each channel; nothing of constant ones."""
    found = []
    for channel, blocks in enumerate(read_finite_samples(source)):
        intensity = scalings[channel].measured
        statistics: dict[str, list[float]] = {}
        for block in () if intensity.constant else blocks:
            measured = torch.from_numpy(intensity.normalise(block))[:, None]
            variance = noise_variance(measured, intensity)
            for name, value in compute_input_statistics(measured, variance).items():
                statistics.setdefault(name, []).append(float(value))
        # one unusual block, such as an empty one, is not the image
        found.append({name: float(np.median(v)) for name, v in statistics.items()})
    return tuple(found)


def find_unusual_statistics(
    statistics: Sequence[dict[str, float]], calibration: TrustCalibration
) -> list[str]:
    """Say where the source is unlike the images that the model was trained on."""
    found = []
    for channel, values in enumerate(statistics):
        which = f"channel {channel} of " if len(statistics) > 1 else ""
        found += [
            f"{which}the source is unlike what the model was trained on: {sentence}; "
            "the expected error may be wrong"
            for sentence in describe_outliers(values, calibration.input_ranges)
        ]
    return found
