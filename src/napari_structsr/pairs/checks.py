"""Checks of images that are to become a pair; each refusal names the remedy.

Pixels may hold no measurement (NaN, saturation, flat content), and images may not
belong together (the same twice, swapped, another scale). Whether two images show the
same at all is what a registration says.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Array
from napari_structsr.engine.statistics import read_finite_samples
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.registration import scale_hint
from napari_structsr.io.source import Source
from napari_structsr.pairs.image_pair import ImagePair

_SATURATED = 0.02  # share of pixels at the top beyond which a pair is refused
_NOTICED = 0.001
_PLATEAU = 3.0  # times as many pixels at the top as at the level below
_FLAT = 1.5  # deviation of a smoothed image, in units of what noise leaves
_SMOOTH = 3.0  # pixels
_TOO_SHARP = 1.3
_MIDDLE = (1.4, 4.0)  # measured pixels; finer there is noise, coarser mere shading
_LEAST_CORRELATION = 0.2


def hash_content(source: Source) -> str:
    """Hash samples of the pixels of an image; its name and file do not matter."""
    # a layer and the file it came from may order their axes differently
    axes = source.spec.axes.canonical()
    digest = hashlib.sha256(f"{axes.names} {axes.shape}".encode())
    # samples do, and the whole of a large image would take minutes to read
    for blocks in read_finite_samples(source):
        for block in blocks:
            digest.update(np.ascontiguousarray(block).tobytes())
    return digest.hexdigest()[:16]


def choose_plane(source: Source, plane: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the index of a plane of an image; the first where None is given.

    Raises
    ------
    TrainingError
        If the image has no such plane.
    """
    loops = source.spec.axes.loops
    if plane is None:
        return (0,) * len(loops)
    sizes = tuple(axis.size for axis in loops)
    inside = (0 <= index < size for index, size in zip(plane, sizes, strict=False))
    if len(plane) != len(sizes) or not all(inside):
        there = " and ".join(f"{axis.name} 0 to {axis.size - 1}" for axis in loops)
        raise TrainingError(
            f"{source.spec.name} has no plane {list(plane)}; give an index for each of "
            f"its axes before y and x: {there or 'it has none, so leave plane out'}"
        )
    return plane


def find_twin(pair: ImagePair, others: Iterable[ImagePair]) -> str | None:
    """Return the name of a pair with the same pixels."""
    return next(
        (other.name for other in others if other.fingerprint == pair.fingerprint), None
    )


def check_pixels(pixels: Array, name: str, intensity: Intensity) -> str | None:
    """Refuse pixels without a measurement; return a note if a few are saturated.

    Parameters
    ----------
    pixels
        Shape (h, w), as stored.
    name
        "low" or "high".
    intensity
        Of the whole image.

    Raises
    ------
    TrainingError
        For NaN, saturated and flat regions.
    """
    what = f"the {name}-resolution image"
    missing = int(np.count_nonzero(~np.isfinite(pixels)))
    if missing:
        raise TrainingError(
            f"{missing} pixels of the region are NaN or infinite in {what}; draw the "
            "region where every pixel holds a number"
        )
    if np.ptp(pixels) == 0:
        raise TrainingError(
            f"{what} is constant in the region; draw the region where there is "
            "structure"
        )
    share = _measure_saturation(pixels)
    if share > _SATURATED:
        raise TrainingError(
            f"{100 * share:.2g}% of the pixels of {what} are saturated (at the top "
            f"value {pixels.max():g}) in the region, where brightness is unknown; draw "
            "the region elsewhere, or take the image with less light"
        )
    smooth = ndimage.gaussian_filter(pixels.astype(np.float64), _SMOOTH, mode="mirror")
    noise = math.sqrt(intensity.find_noise(float(pixels.mean())))
    # a Gaussian divides the deviation of white noise by 2 sqrt(pi) sigma
    left = noise / (2 * math.sqrt(math.pi) * _SMOOTH)
    if smooth.std() < _FLAT * left:
        raise TrainingError(
            f"{what} holds nothing but noise in the region; draw the region where "
            "there is structure"
        )
    if share <= _NOTICED:
        return None
    return f"{100 * share:.2g}% of the {name}-resolution pixels are saturated"


def _measure_saturation(pixels: Array) -> float:
    """Return the share of pixels at the top value, if they pile up there."""
    values, counts = np.unique(pixels, return_counts=True)
    if len(values) < 8:  # a mask or a drawing, whose top level is no saturation
        return 0.0
    # at a true maximum the histogram runs out; at saturation it jumps
    below = counts[-6:-1].max()
    return float(counts[-1] / pixels.size) if counts[-1] > _PLATEAU * below else 0.0


def check_detail(measured: Array, truth: Array) -> None:
    """Refuse a truth that is less sharp than what was measured.

    Parameters
    ----------
    measured
        Shape (h, w).
    truth
        The true image at its place, averaged over measured pixels, same shape.

    Raises
    ------
    TrainingError
        If small structures are stronger in `measured`.
    """
    # contrast in large structures is the same in both images but for the gain, so that
    # the ratio of the two slopes is free of it
    # bands of differences of Gaussians, in measured pixels
    large = _regress(_filter_band(measured, 2.0, 6.0), _filter_band(truth, 2.0, 6.0))
    small = _regress(_filter_band(measured, 0.7, 1.4), _filter_band(truth, 0.7, 1.4))
    if abs(small) > _TOO_SHARP * abs(large) > 0:
        raise TrainingError(
            "the high-resolution image shows less detail than the low-resolution one "
            f"({abs(large / small):.2g} of its contrast in small structures); low and "
            "high may be swapped: exchange them, or correct their pixel sizes"
        )


def check_common(measured: Array, truth: Array) -> None:
    """Refuse images that do not correlate; for pairs that were not registered."""
    one, other = (_filter_band(image, *_MIDDLE).ravel() for image in (measured, truth))
    correlation = float(np.corrcoef(one, other)[0, 1])
    # absolute, as contrast may be inverted; "not >" also refuses NaN
    if not abs(correlation) > _LEAST_CORRELATION:
        raise TrainingError(
            "the two images have nothing in common at their coordinates (correlation "
            f"{correlation:.2f}); register them, or correct their places"
        )


def _filter_band(image: Array, fine: float, wide: float) -> Array:
    one, other = (ndimage.gaussian_filter(image, by) for by in (fine, wide))
    return np.asarray(one - other)


def _regress(measured: Array, truth: Array) -> float:
    power = float((truth**2).sum())
    return float((measured * truth).sum()) / power if power > 0 else 0.0


def explain_failed_registration(
    truth: Array, upsampled: Array, factor: int, refused: str
) -> TrainingError:
    """Say why a pair, both images on the grid of the truth, could not be registered."""
    # a wrong pixel size is the frequent cause, and can be measured
    hint = scale_hint(truth, upsampled, coarseness=factor)
    if hint is not None:
        return TrainingError(
            "the pixel sizes of the two images do not fit their contents: the "
            f"high-resolution image must be {hint:.3g} times as large to lie on the "
            "low-resolution one; correct its pixel size (scale), and add the pair again"
        )
    return TrainingError(f"the two images cannot be laid on each other: {refused}")
