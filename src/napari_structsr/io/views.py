"""Views of a source: some channels, a part, its luminance, larger pixels.

Views are sources themselves and read no more than is asked of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_structsr.core.axes import Axes, ImageSpec
from napari_structsr.core.image_part import ImagePart
from napari_structsr.core.types import Array
from napari_structsr.errors import SettingsError
from napari_structsr.io.fingerprint import Fingerprint
from napari_structsr.io.source import Source, keep_chunks

LUMINANCE = (0.2125, 0.7154, 0.0721)
"""Weights of red, green and blue: ITU-R BT.709, as scikit-image."""


class View:
    """A source that reads another one; its pixels, unless a subclass reads others."""

    def __init__(self, source: Source, spec: ImageSpec) -> None:
        self.options: Mapping[str, Any] = source.options
        self.images: tuple[str, ...] = getattr(source, "images", ())
        self.depths: Mapping[str, int] = getattr(source, "depths", {})
        self.spec = spec
        self.origin = source.origin
        rows, columns = zip(source.chunks, spec.axes.plane, strict=True)
        self.chunks = min(rows), min(columns)
        self._source = source

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane; see `Source.read`."""
        return self._source.read(plane, rows, columns)

    def fingerprint(self) -> Fingerprint | None:
        """Return what tells the pixels of the source from others; see `Source`."""
        found: Fingerprint | None = None
        if ask := getattr(self._source, "fingerprint", None):
            found = ask()
        return found

    def keep_chunks(self) -> None:
        """Keep chunks that are read; see `Source`."""
        keep_chunks(self._source)

    def close(self) -> None:
        """Close the source, where it can be closed."""
        # the protocol asks for no close: arrays and layers hold nothing open
        if close := getattr(self._source, "close", None):
            close()


class CroppedView(View):
    """A rectangle of every plane of a source: the pixels `rows` and `columns`."""

    def __init__(self, source: Source, rows: slice, columns: slice) -> None:
        self._corner = rows.start, columns.start
        axes, kept = source.spec.axes, []
        for axis, part in ((axes["y"], rows), (axes["x"], columns)):
            # the part stays where it lies in the world
            shift = axis.translate + part.start * axis.scale
            kept.append(replace(axis, size=part.stop - part.start, translate=shift))
        super().__init__(source, replace(source.spec, axes=axes.with_axes(*kept)))

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle, counted from the corner of the part."""
        top, left = self._corner
        return self._source.read(
            plane,
            slice(rows.start + top, rows.stop + top),
            slice(columns.start + left, columns.stop + left),
        )


class PartView(CroppedView):
    """Some planes of a source, and a rectangle of each."""

    def __init__(self, source: Source, part: ImagePart) -> None:
        axes = source.spec.axes
        height, width = axes.plane
        rows, columns = part.rows or (0, height), part.columns or (0, width)
        super().__init__(source, slice(*rows), slice(*columns))
        kept = []
        for name, (first, stop) in part.planes.items():
            axis = axes[name]
            shift = axis.translate + first * axis.scale
            kept.append(replace(axis, size=stop - first, translate=shift))
        self.spec = replace(self.spec, axes=self.spec.axes.with_axes(*kept))
        self._first = [part.planes.get(axis.name, (0, 0))[0] for axis in axes.loops]

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle; plane, rows and columns count from those of the part."""
        place = tuple(n + first for n, first in zip(plane, self._first, strict=True))
        return super().read(place, rows, columns)


class PlacedView(View):
    """The same pixels at another place of the world, or of another size.

    Its `axes` have the names and sizes of those of the source.
    """

    def __init__(self, source: Source, axes: Axes) -> None:
        super().__init__(source, replace(source.spec, axes=axes))


class ChannelsView(View):
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


class OneChannelView(View):
    """One channel of a source, without the axis c.

    Parameters
    ----------
    source
        Any source with an axis c.
    channel
        Index or name.
    name
        Short name; by default that of the source and of the channel.

    Raises
    ------
    SettingsError
        If the source has no axis c, or the channel is unknown.
    """

    def __init__(
        self, source: Source, channel: int | str, *, name: str | None = None
    ) -> None:
        only = ChannelsView(source, [channel])
        spec = only.spec
        self._loop = [axis.name for axis in spec.axes.loops].index("c")
        axes = Axes(tuple(axis for axis in spec.axes.items if axis.name != "c"))
        called = spec.channels[0].name if spec.channels else ""
        title = name or f"{spec.name} {called or channel}"
        super().__init__(only, replace(spec, name=title, axes=axes))

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane; `plane` has no index along c."""
        before, after = plane[: self._loop], plane[self._loop :]
        return self._source.read((*before, 0, *after), rows, columns)


class LuminanceView(View):
    """The luminance of a colour image, float32; transparency is left out.

    Colours lie along an axis s of 3 or 4 samples, or else along c, as OME-Zarr stores
    them.
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
        # where colours are planes, the place of their index
        self._channel = loops.index("c") if name == "c" else None

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle as (1, rows, columns)."""
        planes = [plane]
        if self._channel is not None:
            before, after = plane[: self._channel], plane[self._channel :]
            planes = [(*before, channel, *after) for channel in range(3)]
        found = [self._source.read(place, rows, columns) for place in planes]
        # of the samples of a pixel the fourth is transparency
        colours = np.concatenate(found)[:3].astype(np.float32)
        return np.tensordot(np.array([LUMINANCE], np.float32), colours, 1)


class BinnedView(View):
    """The means of squares of pixels, as a camera with larger ones would measure.

    Parameters
    ----------
    source
        What is binned.
    bins
        Pixels along the side of a square; a rest at the end is left out.
    """

    def __init__(self, source: Source, bins: int) -> None:
        kept = source.spec.dtype
        dtype = kept if kept.kind == "f" else np.dtype(np.float32)
        axes = source.spec.axes.downscale(bins)
        super().__init__(source, replace(source.spec, axes=axes, dtype=dtype))
        self._bins = bins

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of means; `rows` and `columns` count squares."""
        n = self._bins
        wide = (slice(part.start * n, part.stop * n) for part in (rows, columns))
        pixels = self._source.read(plane, *wide)
        samples, height, width = pixels.shape
        squares = pixels.reshape(samples, height // n, n, width // n, n)
        # in double precision: integers of 32 bits have more digits than float32
        means: Array = squares.mean(axis=(2, 4), dtype=np.float64)
        return means.astype(self.spec.dtype)


def _find_channel(spec: ImageSpec, channel: int | str) -> int:
    names = [entry.name for entry in spec.channels]
    if isinstance(channel, str):
        # a name that two channels share names none
        if names.count(channel) == 1:
            return names.index(channel)
    elif 0 <= channel < spec.axes["c"].size:
        return int(channel)
    fault = "occurs twice" if channel in names else "does not exist"
    listed = ", ".join(f"{i} {name!r}" for i, name in enumerate(names) if name)
    raise SettingsError(
        f"channel {channel!r} {fault}; choose from the indices 0 to "
        f"{spec.axes['c'].size - 1}" + (f" or the names in {listed}" if listed else "")
    )
