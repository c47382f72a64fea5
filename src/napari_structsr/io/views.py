"""Views of a source: some channels, a part, its luminance, or another grid.

Views are sources themselves and read no more than is asked of them. They own how the
pixels of one image lie on the grid of another, not where that was found out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from napari_structsr.core.axes import Axes, ImageSpec
from napari_structsr.core.types import Array
from napari_structsr.errors import SettingsError
from napari_structsr.io.source import Source

__all__ = [
    "LUMINANCE",
    "AxisMapping",
    "ChannelsView",
    "CroppedView",
    "LuminanceView",
    "PlacedView",
    "ResampledView",
]

LUMINANCE = (0.2125, 0.7154, 0.0721)
"""Weights of red, green and blue: ITU-R BT.709, as scikit-image."""

_MARGIN = 16  # pixels around a read beyond which a cubic spline has decayed to 1e-9


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


class _View:
    def __init__(self, source: Source, spec: ImageSpec) -> None:
        self.options: Mapping[str, Any] = source.options
        self.spec = spec
        self.origin = source.origin
        rows, columns = zip(source.chunks, spec.axes.plane, strict=True)
        self.chunks = min(rows), min(columns)
        self._source = source

    def close(self) -> None:
        """Close the source, where it can be closed."""
        if close := getattr(self._source, "close", None):
            close()


class CroppedView(_View):
    """A rectangle of every plane.

    Parameters
    ----------
    source
        Any source.
    rows, columns
        Pixels to keep.
    """

    def __init__(self, source: Source, rows: slice, columns: slice) -> None:
        self._corner = rows.start, columns.start
        axes = source.spec.axes
        kept = (
            replace(
                axis,
                size=part.stop - part.start,
                translate=axis.translate + part.start * axis.scale,
            )
            for axis, part in ((axes["y"], rows), (axes["x"], columns))
        )
        super().__init__(source, replace(source.spec, axes=axes.with_axes(*kept)))

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle, counted from the corner of the part."""
        top, left = self._corner
        return self._source.read(
            plane,
            slice(rows.start + top, rows.stop + top),
            slice(columns.start + left, columns.stop + left),
        )


class PlacedView(_View):
    """The same pixels at another place of the world, or of another size.

    Parameters
    ----------
    source
        Any source.
    axes
        Names and sizes of those of the source.
    """

    def __init__(self, source: Source, axes: Axes) -> None:
        super().__init__(source, replace(source.spec, axes=axes))

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane."""
        return self._source.read(plane, rows, columns)


class ChannelsView(_View):
    """Some channels of a source, in an order of one's own.

    Parameters
    ----------
    source
        Any source with an axis c.
    channels
        Indices or names of the channels to keep.

    Raises
    ------
    SettingsError
        If the source has no axis c, or a channel is unknown or chosen twice.
    """

    def __init__(self, source: Source, channels: Sequence[int | str]) -> None:
        spec = source.spec
        if "c" not in spec.axes:
            raise SettingsError(
                f"{source.origin} has the axes {spec.axes.names} and no axis c to "
                "choose channels from; leave the choice of channels out"
            )
        # a string is a sequence too, and would be taken letter by letter
        if isinstance(channels, str) or not channels:
            raise SettingsError(
                f"channels are given as {channels!r}; give a list with at least one "
                "index or name"
            )
        self._kept = [_find_channel(spec, channel) for channel in channels]
        if len(set(self._kept)) != len(self._kept):
            raise SettingsError(
                f"channels {list(channels)} name one channel twice; name each once"
            )
        self._loop = [axis.name for axis in spec.axes.loops].index("c")
        axes = spec.axes.with_axes(replace(spec.axes["c"], size=len(self._kept)))
        named = [spec.channels[index] for index in self._kept if spec.channels]
        super().__init__(source, replace(spec, axes=axes, channels=tuple(named)))

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane; `plane` counts the chosen channels."""
        position = list(plane)
        position[self._loop] = self._kept[position[self._loop]]
        return self._source.read(tuple(position), rows, columns)


class LuminanceView(_View):
    """The luminance of a colour image, float32; transparency is left out.

    Parameters
    ----------
    source
        A source whose colours lie along an axis s of 3 or 4 samples, or else along c,
        as OME-Zarr stores them.
    """

    def __init__(self, source: Source) -> None:
        axes = source.spec.axes
        name = "s" if "s" in axes else "c"
        kept = tuple(axis for axis in axes.items if axis.name != name)
        spec = replace(
            source.spec, axes=Axes(kept), dtype=np.dtype(np.float32), channels=()
        )
        super().__init__(source, spec)
        loops = [axis.name for axis in axes.loops]
        self._channel = loops.index("c") if name == "c" else None

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle as (1, rows, columns)."""
        if self._channel is None:
            colours = self._source.read(plane, rows, columns)[:3]
        else:
            before, after = plane[: self._channel], plane[self._channel :]
            # colours along c are three planes
            colours = np.concatenate(
                [
                    self._source.read((*before, channel, *after), rows, columns)
                    for channel in range(3)
                ]
            )
        return np.tensordot(
            np.array([LUMINANCE], np.float32), colours.astype(np.float32), 1
        )


class ResampledView(_View):
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
        for line, part, size in zip(self._lines, (rows, columns), sizes, strict=True):
            # gaussian_filter reaches 4 sigma
            margin = _MARGIN + math.ceil(4 * _compute_blur(line))
            first = max(math.floor(line.at(part.start)) - margin, 0)
            last = min(math.ceil(line.at(part.stop - 1)) + margin + 1, size)
            # beyond the border one pixel is still needed, to be mirrored
            first, last = min(first, size - 1), max(last, 1)
            parts.append(slice(first, last))
            starts.append(line.at(part.start) - first)
        pixels = self._source.read(where, *parts).astype(np.float64)
        shape = rows.stop - rows.start, columns.stop - columns.start
        steps = [line.step for line in self._lines]
        blurs = [_compute_blur(line) for line in self._lines]
        known = np.isfinite(pixels)
        whole = bool(known.all())
        out = np.empty((len(pixels), *shape), self.spec.dtype)
        for number, sample in enumerate(pixels):
            # a spline runs through whole lines, which one NaN would spoil
            image = sample if whole else np.where(known[number], sample, 0)
            if any(blurs):
                image = ndimage.gaussian_filter(image, blurs, mode="reflect")
            out[number] = ndimage.affine_transform(
                image, steps, starts, output_shape=shape, order=3, mode="reflect"
            )
            if not whole:
                # linear: what a hole touches is lost, and nothing beyond
                holes = ndimage.affine_transform(
                    (~known[number]).astype(np.float64),
                    steps,
                    starts,
                    output_shape=shape,
                    order=1,
                    mode="reflect",
                )
                out[number][holes > 0] = np.nan
        return out


def _compute_blur(line: AxisMapping) -> float:
    """Return the blur before taking fewer pixels, in pixels of the finer image."""
    return max(0.0, (line.step - 1) / 2)


def _find_channel(spec: ImageSpec, channel: int | str) -> int:
    names = [entry.name for entry in spec.channels]
    if isinstance(channel, str):
        # a name that two channels share names none
        if names.count(channel) == 1:
            return names.index(channel)
        fault = "occurs twice" if channel in names else "does not exist"
    elif 0 <= channel < spec.axes["c"].size:
        return int(channel)
    else:
        fault = "does not exist"
    listed = ", ".join(f"{i} {name!r}" for i, name in enumerate(names) if name)
    raise SettingsError(
        f"channel {channel!r} {fault}; choose from the indices 0 to "
        f"{spec.axes['c'].size - 1}" + (f" or the names in {listed}" if listed else "")
    )
