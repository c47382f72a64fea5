"""A view of a source on the grid of another image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy  # its parts come when they are first used, and cost time

from napari_structsr.core.axes import Axes
from napari_structsr.core.types import Array
from napari_structsr.io.source import Source
from napari_structsr.io.views import View

# pixels around a read beyond which a cubic spline has decayed to 1e-9
_MARGIN = 16


@dataclass(frozen=True)
class AxisMapping:
    """Where the pixels of one axis lie in another image: ``start + step * index``.

    Parameters
    ----------
    start
        Position of pixel 0, in pixels of the other image.
    step
        Distance of neighbouring pixels there, above 0.
    """

    start: float = 0.0
    step: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether both grids are the same."""
        return self.start == 0 and self.step == 1

    def at(self, index: float) -> float:
        """Return the position of a pixel."""
        return self.start + self.step * index


class ResampledView(View):
    """A source on the grid of another image, by cubic splines.

    Where its pixels are the finer ones it is blurred first, as
    ``skimage.transform.resize`` does. The image continues beyond its border as its
    mirror image; a pixel without a number leaves a hole around it.

    Parameters
    ----------
    source
        What is resampled.
    axes
        Axes of the other image: the same loops, y and x.
    rows, columns
        Where the pixels of the other image lie in `source`.
    """

    def __init__(
        self, source: Source, axes: Axes, rows: AxisMapping, columns: AxisMapping
    ) -> None:
        kept = source.spec.dtype
        dtype = kept if kept.kind == "f" else np.dtype(np.float32)
        super().__init__(source, replace(source.spec, axes=axes, dtype=dtype))
        self._lines = rows, columns
        # the blur before taking fewer pixels, in pixels of the finer image
        self._blurs = [max(0.0, (line.step - 1) / 2) for line in self._lines]
        loops = [axis.name for axis in axes.loops]
        self._order = [
            loops.index(axis.name) if axis.name in loops else None
            for axis in source.spec.axes.loops
        ]

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of the other image's grid as (samples, rows, columns)."""
        # a loop of one plane may be missing in either image
        where = tuple(0 if n is None else plane[n] for n in self._order)
        if all(line.is_identity for line in self._lines):
            return self._source.read(where, rows, columns)
        parts, starts = [], []
        sizes = self._source.spec.axes.plane
        for line, blur, part, size in zip(
            self._lines, self._blurs, (rows, columns), sizes, strict=True
        ):
            # gaussian_filter reaches 4 sigma
            margin = _MARGIN + math.ceil(4 * blur)
            first = max(math.floor(line.at(part.start)) - margin, 0)
            last = min(math.ceil(line.at(part.stop - 1)) + margin + 1, size)
            # beyond the border one pixel is still needed, to be mirrored
            first, last = min(first, size - 1), max(last, 1)
            parts.append(slice(first, last))
            starts.append(line.at(part.start) - first)
        pixels = self._source.read(where, *parts).astype(np.float64)
        shape = rows.stop - rows.start, columns.stop - columns.start
        transform = partial(
            scipy.ndimage.affine_transform,
            matrix=[line.step for line in self._lines],
            offset=starts,
            output_shape=shape,
            mode="reflect",
        )
        known = np.isfinite(pixels)
        whole = bool(known.all())
        out = np.empty((len(pixels), *shape), self.spec.dtype)
        for number, sample in enumerate(pixels):
            # a spline runs through whole lines, which one NaN would spoil
            image = sample if whole else np.where(known[number], sample, 0)
            if any(self._blurs):
                image = scipy.ndimage.gaussian_filter(
                    image, self._blurs, mode="reflect"
                )
            out[number] = transform(image, order=3)
            if not whole:
                # linear: what a hole touches is lost, and nothing beyond
                holes = transform((~known[number]).astype(np.float64), order=1)
                out[number][holes > 0] = np.nan
        return out
