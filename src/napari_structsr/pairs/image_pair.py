"""The pair of a measured and a true image on matched grids, in one unit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_structsr.core.axes import Axes
from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Float32Array
from napari_structsr.engine.statistics import measure_intensity
from napari_structsr.imaging.registration import IDENTITY, Registration
from napari_structsr.io.source import Source


@dataclass(frozen=True)
class Place:
    """Where a pair was taken from.

    Parameters
    ----------
    sources
        Keys of the contents of the measured and of the true image; a key tells the
        same image from another one, whatever name it was opened by.
    plane
        Index of the measured plane along the loops of its source.
    rows, columns
        First and last + 1 pixel in the measured source.
    origin
        World coordinates (y, x) of the outer corner of the first pixel.
    pixel
        Pixel size (y, x) of the measured image, in world units.
    """

    sources: tuple[str, str]
    plane: tuple[int, ...]
    rows: tuple[int, int]
    columns: tuple[int, int]
    origin: tuple[float, float]
    pixel: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(
        cls,
        sources: tuple[str, str],
        axes: Axes,
        plane: tuple[int, ...],
        area: tuple[slice, slice],
    ) -> Place:
        """Return the place of a region of measured pixels on their axes."""
        rows, columns = ((part.start, part.stop) for part in area)
        y, x = (
            # `translate` is the centre of a pixel, `origin` an outer corner
            axes[name].translate + axes[name].scale * (first - 0.5)
            for name, first in (("y", rows[0]), ("x", columns[0]))
        )
        pixel = axes["y"].scale, axes["x"].scale
        return cls(sources, plane, rows, columns, (y, x), pixel)


# arrays have no single truth value, so that pairs compare by identity
@dataclass(frozen=True, eq=False)
class ImagePair:
    """A measured image and its truth on matched grids, in one unit.

    0 and 1 are the robust extremes of the *whole* measured image, as at inference.

    Parameters
    ----------
    name
        For tables and notes.
    measured
        Shape (h, w).
    truth
        Shape (factor h, factor w); its pixel edges are those of `measured`.
    factor
        1, 2 or 4.
    where
        Where it was taken from.
    psf_sigma
        Width of the point-spread function that turns `truth` into `measured`, in
        measured pixels.
    noise
        Rise of the noise variance of `measured` with its value, and the variance at
        value 0.
    registration
        How the truth was moved, in true pixels.
    gain, offset
        ``truth = gain * true image + offset``, the true image between its own robust
        extremes 0 and 1.
    notes
        Sentences that the user should read.
    """

    name: str
    measured: Float32Array
    truth: Float32Array
    factor: int
    where: Place
    psf_sigma: float = 0.4
    noise: tuple[float, float] = (0.0, 0.0)
    registration: Registration = IDENTITY
    gain: float = 1.0
    offset: float = 0.0
    notes: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of both images."""
        digest = hashlib.sha256()
        for image in (self.measured, self.truth):
            # the same bytes make another image at another width
            digest.update(str(image.shape).encode())
            digest.update(np.ascontiguousarray(image).tobytes())
        return digest.hexdigest()


def measure_channel(source: Source, plane: tuple[int, ...] | None) -> Intensity:
    """Measure the channel of a plane, or the first one, over the whole image."""
    found = measure_intensity(source)
    return found[0 if plane is None else source.spec.axes.channel_of(plane)]
