"""What is computed at once: blocks, whose lines lie where they lie, whatever the tiles.

The last bit of a convolution may depend on the shape of what it is given, and where an
effective receptive field leaves a seam, more than that. So blocks lie on a grid that
begins at the first pixel of the plane, and whose side follows the device and the model
alone: tiles of any size are cut out of the same blocks and hold the same bytes. Tiles
that share a block compute it once.

Only where the memory of a device runs short are blocks halved, for good.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from napari_structsr.core.grid import Slices, Tile, TileGrid, Window, find_overlap
from napari_structsr.core.types import Array
from napari_structsr.engine.device import Device, is_out_of_memory
from napari_structsr.errors import MemoryShortageError

Images = dict[str, Array]
"""What is computed of one place, by name, each of shape (samples, rows, columns)."""

_SMALLEST = 32  # input pixels
# bytes that the features of a block may take; on a CPU larger ones than of 512 x 512
# pixels save but a part of the halo
_MOST, _MOST_ON_CPU = 1 << 31, 400 << 20
_USUAL = 512
# a halo of 62 pixels, as of agreement within noise, adds a half to the work of 512 x
# 512 pixels, and a quarter to that of blocks that are twice as wide
_WIDE_HALO = 32
_REMEMBERED = 1 << 28  # bytes of blocks that wait for the next of their tiles

_Pixels = TypeVar("_Pixels")
_Key = tuple[tuple[int, ...], int, int]


def choose_block(
    device: Device, values_per_pixel: int, halo: int = 0
) -> tuple[int, int]:
    """Return the input rows and columns of a block of a model.

    They depend on nothing that changes from run to run, such as free memory.

    Parameters
    ----------
    device
        What computes.
    values_per_pixel
        Of the model.
    halo
        Input pixels that are computed around a block.
    """
    rows = columns = device.block
    if halo > _WIDE_HALO and device.kind == "cpu" and device.precision != "float32":
        rows, columns = 2 * rows, 2 * columns
    values = values_per_pixel * device.bytes_per_value
    if device.kind == "cpu":
        # rows first: tiles come row by row
        if rows * columns * values > _MOST_ON_CPU:
            rows = min(rows, _USUAL)
        if rows * columns * values > _MOST_ON_CPU:
            columns = min(columns, _USUAL)
    # networks of thousands of numbers for each pixel would take all memory there is
    while rows * columns * values > _MOST and rows // 2 > _SMALLEST:
        rows, columns = rows // 2, columns // 2
    return rows, columns


@dataclass(frozen=True)
class Read(Generic[_Pixels]):
    """What was read of a plane, and which rows and columns of the input it is."""

    place: Slices
    pixels: _Pixels


class BlockComputer(ABC, Generic[_Pixels]):
    """Reads and computes the tiles of one run, block by block.

    Parameters
    ----------
    grid
        Of the tiles.
    block
        Input rows and columns of a block.
    device
        What computes.
    """

    def __init__(self, grid: TileGrid, block: tuple[int, int], device: Device) -> None:
        self.grid = grid
        self._block = block[0] * grid.factor, block[1] * grid.factor
        self._largest = max(block)  # that fits into memory, as far as is known
        self._device = device
        self._remembered: dict[_Key, Images] = {}
        self._warning: str | None = None

    @abstractmethod
    def read_pixels(self, plane: tuple[int, ...], place: Slices) -> _Pixels:
        """Read rows and columns of the input; called in threads."""

    @abstractmethod
    def crop_pixels(self, pixels: _Pixels, place: Slices) -> _Pixels:
        """Return a part of what was read, rows and columns counted from its first."""

    @abstractmethod
    def compute_window(self, tile: Tile, window: Window, pixels: _Pixels) -> Images:
        """Compute what a window writes from the pixels that it reads."""

    def read(self, tile: Tile) -> Read[_Pixels] | None:
        """Read what the blocks of a tile need; None where all are remembered."""
        unknown = [
            block.read
            for block in self._blocks(tile)
            if _make_key(tile, block) not in self._remembered
        ]
        if not unknown:
            return None
        rows, columns = (
            slice(min(part.start for part in parts), max(part.stop for part in parts))
            for parts in zip(*unknown, strict=True)
        )
        place = rows, columns
        return Read(place, self.read_pixels(tile.plane, place))

    def compute(self, tile: Tile, found: Read[_Pixels] | None) -> Images:
        """Compute a tile from what was read for it.

        `MemoryShortageError` says that even the smallest block does not fit.
        """
        images: Images = {}
        for block in self._blocks(tile):
            part = self._recall(tile, block) or self._compute_block(tile, block, found)
            if block.write == tile.write:
                return part
            here, there = find_overlap(tile.write, block.write)
            _paste(part, images, tile, here=here, there=there)
            # tiles come in order: that of its last corner is the last to need it
            if tuple(part.stop for part in there) != _shape_of(block.write):
                self._remember(tile, block, part)
        return images

    def take_warning(self) -> str | None:
        """Return, once, what the user should hear about the last tile."""
        warning, self._warning = self._warning, None
        return warning

    def _blocks(self, tile: Tile) -> list[Window]:
        return self.grid.find_blocks(tile, *self._block)

    def _recall(self, tile: Tile, block: Window) -> Images | None:
        # put back last: the block that was not needed for longest goes first
        return self._remembered.pop(_make_key(tile, block), None)

    def _remember(self, tile: Tile, block: Window, images: Images) -> None:
        self._remembered[_make_key(tile, block)] = images
        sizes = [
            sum(values.nbytes for values in one.values())
            for one in self._remembered.values()
        ]
        while len(sizes) > 1 and sum(sizes) > _REMEMBERED:
            del self._remembered[next(iter(self._remembered))], sizes[0]

    def _compute_block(
        self, tile: Tile, block: Window, found: Read[_Pixels] | None
    ) -> Images:
        factor = self.grid.factor
        images: Images = {}
        # a part that was too large is split further, and the rest with it
        waiting = [block]
        while waiting:
            current = waiting.pop()
            longest = max(_shape_of(current.write))
            # it may have shrunk since the part was queued
            if longest > self._largest * factor:
                waiting += self.grid.split(current, self._largest * factor)
                continue
            try:
                pixels = self._cut(tile, current, found)
                part = self.compute_window(tile, current, pixels)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(error, -(-longest // factor))
                waiting.append(current)
                continue
            if current is block:
                return part
            here, there = find_overlap(block.write, current.write)
            _paste(part, images, block, here=here, there=there)
        return images

    def _cut(self, tile: Tile, window: Window, found: Read[_Pixels] | None) -> _Pixels:
        """Return what a window reads, out of what was read for the tile."""
        if found is not None:
            here, there = find_overlap(found.place, window.read)
            if _shape_of(there) == _shape_of(window.read):
                return self.crop_pixels(found.pixels, here)
        # it was remembered when the tile was read, and had to make room since
        return self.read_pixels(tile.plane, window.read)

    def _shrink(self, error: Exception, side: int) -> None:
        """Halve the side that did not fit, or give up."""
        # cached memory is fragmented by the size that failed
        self._device.release()
        if side // 2 < _SMALLEST:
            raise MemoryShortageError(
                f"{self._device.label} has too little memory for a block of "
                f"{side} pixels; close other programs, or compute on the cpu"
            ) from error
        self._largest = side // 2
        self._warning = (
            f"{self._device.label} ran out of memory; "
            f"going on with blocks of {self._largest} pixels"
        )


def _make_key(tile: Tile, block: Window) -> _Key:
    rows, columns = block.write
    return tile.plane, rows.start, columns.start


def _shape_of(slices: Slices) -> tuple[int, int]:
    rows, columns = (part.stop - part.start for part in slices)
    return rows, columns


def _paste(
    images: Images, found: Images, window: Window, *, here: Slices, there: Slices
) -> None:
    """Copy the part `there` of images to the part `here` of those of a window."""
    for name, values in images.items():
        if name not in found:
            shape = (len(values), *_shape_of(window.write))
            found[name] = np.empty(shape, values.dtype)
        found[name][:, *here] = values[:, *there]
