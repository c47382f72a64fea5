"""Tile geometry: what a tile reads, what it keeps and what it writes.

A tile is a unit of writing: one output chunk, shard or block of whole chunks of one
plane. It reads its place in the input plus a halo as wide as the model sees, cut
at the border of the image, where the model itself continues the image::

    input  ┌──────────── read ────────────┐      output  ┌──── read * factor ────┐
           │ halo  ┌── write / factor ──┐ │              │  ┌───── keep ─────┐   │
           │       └────────────────────┘ │              │  └──── = write ───┘   │
           └──────────────────────────────┘              └───────────────────────┘

Every output pixel belongs to one tile, so that each chunk is written once, and with
a sufficient halo tiles equal the whole image: no blending, no seams. Models that cut
the image into windows of their own need tiles that begin on these: what is read then
grows to the next line of their grid.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Slices = tuple[slice, slice]


@dataclass(frozen=True)
class Window:
    """A rectangle of one plane, as seen from the input and from the output.

    Parameters
    ----------
    read
        Rows and columns of the input, with halo.
    keep
        Rows and columns to keep of the upscaled `read`.
    write
        Rows and columns of the output; as many as in `keep`.
    """

    read: Slices
    keep: Slices
    write: Slices

    def relative_to(self, outer: Window) -> Window:
        """Return this window with `read` and `write` counted from those of `outer`."""
        return Window(
            _shift(self.read, outer.read), self.keep, _shift(self.write, outer.write)
        )


@dataclass(frozen=True)
class Tile(Window):
    """One unit of work, of retry and of resuming: a window of one plane.

    Parameters
    ----------
    index
        Position in the grid.
    plane
        Index along the looped axes t, c, z, as far as present.
    """

    index: int
    plane: tuple[int, ...]


@dataclass(frozen=True)
class TileGrid:
    """All tiles of an image, numbered plane by plane, row by row.

    Parameters
    ----------
    loops
        Sizes of the looped axes.
    shape
        Height and width of an input plane.
    factor
        Output pixels along the side of an input pixel.
    unit
        Height and width of a tile, in output pixels; need not divide the plane.
    halo
        Input pixels that the model sees beyond a tile.
    align
        What is read begins at multiples of it, in input pixels, and ends there or at
        the border of the image.
    """

    loops: tuple[int, ...]
    shape: tuple[int, int]
    factor: int
    unit: tuple[int, int]
    halo: int
    align: int = 1

    @property
    def rows(self) -> int:
        """Tiles along y."""
        # rounded up: the last row of tiles may be lower
        return -(-self.shape[0] * self.factor // self.unit[0])

    @property
    def columns(self) -> int:
        """Tiles along x."""
        return -(-self.shape[1] * self.factor // self.unit[1])

    def __len__(self) -> int:
        return math.prod(self.loops) * self.rows * self.columns

    def __iter__(self) -> Iterator[Tile]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(f"tile {index} of {len(self)}")
        counts = (*self.loops, self.rows, self.columns)
        *plane, row, column = map(int, np.unravel_index(index, counts))
        rows, columns = (
            # the last tile ends with the plane
            slice(n * unit, min((n + 1) * unit, size * self.factor))
            for n, unit, size in zip((row, column), self.unit, self.shape, strict=True)
        )
        window = self.window((rows, columns))
        return Tile(window.read, window.keep, window.write, index, tuple(plane))

    def window(self, write: Slices) -> Window:
        """Return the window that yields the output rows and columns `write`."""
        read, keep = [], []
        for part, size in zip(write, self.shape, strict=True):
            # windows of a model lie on a fixed grid: begin and end on its lines, so
            # that a tile is cut as the whole image is
            start = max(part.start // self.factor - self.halo, 0)
            start = start // self.align * self.align
            stop = -(-part.stop // self.factor) + self.halo
            stop = min(-(-stop // self.align) * self.align, size)
            # `keep` counts from the upscaled `read`, of which the halo is cut off
            read.append(slice(start, stop))
            first = part.start - start * self.factor
            keep.append(slice(first, first + part.stop - part.start))
        return Window((read[0], read[1]), (keep[0], keep[1]), write)

    def find_blocks(self, window: Window, height: int, width: int) -> list[Window]:
        """Return the blocks of `height` x `width` pixels that a window lies in.

        They lie on a grid of their own, which begins at the first pixel of the plane
        and ends with it, wherever the tiles lie.
        """
        rows, columns = (
            [
                slice(first, min(first + side, size * self.factor))
                for first in range(part.start // side * side, part.stop, side)
            ]
            for part, size, side in zip(
                window.write, self.shape, (height, width), strict=True
            )
        )
        return [self.window(place) for place in itertools.product(rows, columns)]

    def split(self, window: Window, side: int) -> list[Window]:
        """Cut a window into windows that write at most `side` pixels along y and x."""
        rows, columns = (
            [
                slice(first, min(first + side, part.stop))
                for first in range(part.start, part.stop, side)
            ]
            for part in window.write
        )
        return [self.window(place) for place in itertools.product(rows, columns)]


def find_overlap(one: Slices, other: Slices) -> tuple[Slices, Slices]:
    """Return what two rectangles have in common, as counted from either."""
    common = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(one, other, strict=True)
    )
    rows, columns = common
    return _shift((rows, columns), one), _shift((rows, columns), other)


def _shift(slices: Slices, outer: Slices) -> Slices:
    rows, columns = (
        slice(part.start - around.start, part.stop - around.start)
        for part, around in zip(slices, outer, strict=True)
    )
    return rows, columns
