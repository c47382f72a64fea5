"""Axes, channels and the spec of an image: all of it but the pixels.

Coordinates follow napari: the centre of pixel 0 lies at ``translate`` and the next
at ``translate + scale``. An upscaled pixel is smaller, so that its first centre
moves outwards while the edge of the image stays where it was::

    input     |---------0---------|---------1---------|     scale d
    factor 2  |----0----|----1----|----2----|----3----|     scale d/2
    edge      ^         translate moves by d (1/2 - 1) / 2 = -d/4
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from napari_structsr.core.optics import Optics
from napari_structsr.errors import AxesError, PixelError

_ORDER = "tczyxs"  # as OME-Zarr wants it, with colour samples last


@dataclass(frozen=True)
class Axis:
    """One axis of an image.

    Parameters
    ----------
    name
        One of t, c, z, y, x, or s for the samples of a colour pixel.
    size
        Number of pixels.
    scale
        Distance between neighbouring pixel centres, in `unit`.
    translate
        World position of the centre of pixel 0, in `unit`.
    unit
        UDUNITS name such as "micrometer" or "second"; None when unknown.
    """

    name: str
    size: int
    scale: float = 1.0
    translate: float = 0.0
    unit: str | None = None

    def resample(self, size: int, factor: float) -> Axis:
        """Return the axis with pixels `factor` times as fine, edges kept."""
        # the outer edge stays: the first centre moves by half the change of a pixel
        return replace(
            self,
            size=size,
            scale=self.scale / factor,
            translate=self.translate + self.scale * (1 / factor - 1) / 2,
        )


@dataclass(frozen=True)
class Axes:
    """The axes of an image, in the order of its dimensions.

    Raises
    ------
    AxesError
        If y or x is missing, a name is unknown or doubled, an axis is empty, or a
        scale is zero or not finite.
    """

    items: tuple[Axis, ...]

    def __post_init__(self) -> None:
        names = self.names
        if unknown := sorted(set(names) - set(_ORDER)):
            raise AxesError(
                f"axes {names!r} hold {', '.join(unknown)}, but only t, c, z, y, x "
                "and s are known; name the axes, for example with --axes tzyx"
            )
        if len(set(names)) != len(names):
            raise AxesError(f"axes {names!r} name one axis twice; name each axis once")
        if not {"y", "x"} <= set(names):
            raise AxesError(
                f"axes {names!r} lack y or x; name the two axes of the image plane, "
                "for example with --axes zyx"
            )
        for axis in self.items:
            if axis.size < 1:
                raise AxesError(
                    f"axis {axis.name} is empty (shape {self.shape}); "
                    "pick an image that holds pixels"
                )
            if not math.isfinite(axis.scale) or axis.scale == 0:
                raise AxesError(
                    f"axis {axis.name} has the pixel size {axis.scale}; "
                    "it must be a number other than zero: correct the image's metadata"
                )

    @classmethod
    def of(cls, names: str, shape: tuple[int, ...]) -> Axes:
        """Return axes without pixel size; `names` is a string such as "zyx"."""
        if len(names) != len(shape):
            raise AxesError(
                f"axes {names!r} name {len(names)} dimensions, but the image has "
                f"{len(shape)}, shape {tuple(shape)}; name each dimension once"
            )
        pairs = zip(names.lower(), shape, strict=True)
        return cls(tuple(Axis(name, int(size)) for name, size in pairs))

    @cached_property
    def names(self) -> str:
        """The names in order, as one string."""
        return "".join(axis.name for axis in self.items)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes in order."""
        return tuple(axis.size for axis in self.items)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Axis:
        return self.items[self.names.index(name)]

    @property
    def plane(self) -> tuple[int, int]:
        """Height and width."""
        return self["y"].size, self["x"].size

    @property
    def samples(self) -> int:
        """Samples of a colour pixel; 1 where there is no axis s."""
        return self["s"].size if "s" in self else 1

    @cached_property
    def loops(self) -> tuple[Axis, ...]:
        """The axes that are looped over: t, c, z as far as present, in this order."""
        return tuple(self[name] for name in "tcz" if name in self)

    def planes(self) -> Iterator[tuple[int, ...]]:
        """Yield the indices of all planes along `loops`."""
        return itertools.product(*(range(axis.size) for axis in self.loops))

    def channel_of(self, plane: tuple[int, ...]) -> int:
        """Index along c of a plane; 0 where there is no axis c."""
        names = [axis.name for axis in self.loops]
        return plane[names.index("c")] if "c" in names else 0

    def canonical(self) -> Axes:
        """Return the same axes in the order t, c, z, y, x, s."""
        return Axes(tuple(self[name] for name in _ORDER if name in self))

    def with_axes(self, *others: Axis) -> Axes:
        """Return the axes with `others` in the place of those of the same names."""
        new = {axis.name: axis for axis in others}
        return Axes(tuple(new.get(axis.name, axis) for axis in self.items))

    def upscale(self, factor: int) -> Axes:
        """Return the axes of an image with `factor` times the pixels along y and x."""
        plane = (self["y"], self["x"])
        return self.with_axes(*(a.resample(a.size * factor, factor) for a in plane))

    def downscale(self, factor: int) -> Axes:
        """Return the axes of an image with pixels `factor` times as large.

        Pixels at the end that do not fill a larger one are left out.
        """
        plane = (self["y"], self["x"])
        return self.with_axes(
            *(a.resample(a.size // factor, 1 / factor) for a in plane)
        )


@dataclass(frozen=True)
class Channel:
    """How one channel is named and shown.

    Parameters
    ----------
    name
        Label, possibly empty.
    color
        Six hexadecimal digits such as "00FF00"; None when unknown.
    window
        Lower and upper contrast limit in pixel values; None when unknown.
    optics
        How it was taken; None when unknown.
    """

    name: str = ""
    color: str | None = None
    window: tuple[float, float] | None = None
    optics: Optics | None = None


@dataclass(frozen=True)
class ImageSpec:
    """An image without its pixels.

    Parameters
    ----------
    name
        Short name without folder and ending.
    axes
        Axes of the array, in its order.
    dtype
        Type of the pixels.
    channels
        One entry for each index along c, or a single one where there is no axis c;
        none when nothing is known.
    """

    name: str
    axes: Axes
    dtype: np.dtype
    channels: tuple[Channel, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels, uncompressed."""
        return math.prod(self.axes.shape) * self.dtype.itemsize

    def upscale(self, factor: int) -> ImageSpec:
        """Return the spec of the upscaled image, axes in canonical order."""
        return replace(self, axes=self.axes.canonical().upscale(factor))


def check_plane(axes: Axes) -> None:
    """Refuse planes that are no image.

    Raises
    ------
    PixelError
        If y or x has a single pixel.
    """
    height, width = axes.plane
    # a single line has no second direction to interpolate along
    if min(height, width) < 2:
        # a scan of one line may take another axis, such as time, for y
        wide = sum(axis.size > 1 for axis in axes.items if axis.name != "s")
        names = "tczyx"[5 - wide :] if wide != 4 else "tzyx"
        raise PixelError(
            f"a plane of {height} x {width} pixels (axes {axes.names}, shape "
            f"{axes.shape}) holds no image; "
            + (
                "check which axes are y and x and name those of more than one entry, "
                f"such as --axes {names}"
                if wide > 1
                else "leave it out, since a single line cannot be upscaled"
            )
        )
