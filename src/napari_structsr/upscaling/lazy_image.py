"""An upscaled image whose tiles are computed when somebody looks at them.

A stack of a hundred gigabytes is opened at once, and costs what is seen of it. The
finest level is upscaled tile by tile, exactly as `upscale` would, but for rounding;
the coarser ones are the measured pixels.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.grid import Tile, find_overlap
from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Array
from napari_structsr.engine.events import Cancel
from napari_structsr.engine.statistics import measure_few_planes, measure_plane
from napari_structsr.errors import SettingsError
from napari_structsr.io.open import open_source
from napari_structsr.io.plane_array import PlaneArray, SourceArray
from napari_structsr.io.source import Source
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.prepare import Prepared, prepare
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.tile_upscaler import IMAGE, TileUpscaler

_SIDE = 256  # input pixels of a tile: small, so that the first one is soon there
_MEMORY = 1 << 29
_SMALLEST = 512  # pixels along the longer side of the coarsest level


def open_lazy_image(
    image: Any,
    model: SRModel,
    *,
    settings: UpscaleSettings | None = None,
    source: Source | None = None,
    reading: Mapping[str, Any] | None = None,
    memory: int = _MEMORY,
    cancel: Cancel | None = None,
) -> LazyImage:
    """Open an image upscaled; tiles are computed when they are read.

    Opening reads samples of at most 8 planes of a channel, or of 64 where it is small,
    see `measure_few_planes`. If they all show one value, the first tile that shows two
    sets the range, together with samples of its plane.

    Parameters
    ----------
    image
        What `open_source` takes, or a source. The coarser levels of a pyramid are used
        if it has any, else they are means of the finest one.
    model
        What upscales it.
    settings
        Choices of the user; the side of tiles is not among them.
    source
        The image, where it has been opened already.
    reading
        Keywords of `open_source`.
    memory
        Bytes of computed tiles that are kept.
    cancel
        Ends the opening before its next read.

    Returns
    -------
    LazyImage
        An array, axes in the order t, c, z, y, x, s; `LazyImage.levels` is a pyramid.

    Raises
    ------
    CancelError
        If it was cancelled while samples were read.
    StructsrError
        If the image cannot be read or upscaled, as of `upscale`.
    """
    if source is None:
        source = open_source(image, **(reading or {}))
    settings = (settings or UpscaleSettings()).model_copy(update={"tile": _SIDE})
    coarser = tuple(_open_coarser(image, source, reading or {}))
    return LazyImage(
        source, model, settings, coarser=coarser, memory=memory, cancel=cancel
    )


class LazyImage(PlaneArray):
    """See `open_lazy_image`.

    Parameters
    ----------
    source, model, settings
        As of `upscale`.
    coarser
        Further levels of the source, finest first.
    memory
        Bytes of computed tiles that are kept; the one that was not looked at for the
        longest time goes first.
    cancel
        As of `open_lazy_image`.
    """

    def __init__(
        self,
        source: Source,
        model: SRModel,
        settings: UpscaleSettings,
        *,
        coarser: Sequence[Source] = (),
        memory: int = _MEMORY,
        cancel: Cancel | None = None,
    ) -> None:
        self.source, self.model, self._settings = source, model, settings
        # a wish to stop that nobody has yet is false
        cancel = Cancel() if cancel is None else cancel
        prepared = self._prepare(measure_few_planes, cancel)
        super().__init__(prepared.spec.axes, prepared.spec.dtype)
        self.spec: ImageSpec = prepared.spec
        self.messages: tuple[str, ...] = (*prepared.notes, *prepared.warnings)
        """Sentences for the user."""
        self.computed = 0
        """Tiles computed up to now."""
        self._coarser = tuple(coarser)
        self._memory, self._held = memory, 0
        self._tiles: OrderedDict[int, Array] = OrderedDict()
        self._intensities = list(prepared.intensities)
        self._upscaler = TileUpscaler(prepared)
        self._grid = prepared.grid
        self._computing, self._finding = threading.Lock(), threading.Lock()

    @cached_property
    def levels(self) -> tuple[PlaneArray, ...]:
        """The image itself, the measured pixels, and coarser levels of them."""
        measured = [] if self.model.factor == 1 else [self.source]
        levels: list[PlaneArray] = [
            SourceArray(one, self.dtype) for one in (*measured, *self._coarser)
        ]
        binning = 2
        if not self._coarser:
            while max(self.source.spec.axes.plane) > binning * _SMALLEST // 2:
                levels.append(SourceArray(self.source, self.dtype, binning=binning))
                binning *= 2
        return (self, *levels)

    def list_tiles(
        self, plane: tuple[int, ...], rows: slice, columns: slice
    ) -> list[Tile]:
        """Return the tiles that a rectangle of a plane touches, row by row."""
        grid = self._grid
        counts = (*grid.loops, grid.rows, grid.columns)
        spans = (
            range(part.start // side, -(-part.stop // side))
            for part, side in zip((rows, columns), grid.unit, strict=True)
        )
        down, right = spans
        return [
            grid[int(np.ravel_multi_index((*plane, row, column), counts))]
            for row in down
            for column in right
        ]

    def find(self, tile: Tile) -> Array | None:
        """Return a tile that has been computed, None otherwise; does not wait."""
        with self._finding:
            if (found := self._tiles.get(tile.index)) is not None:
                self._tiles.move_to_end(tile.index)
            return found

    def compute(self, tile: Tile) -> Array:
        """Return a tile, computed now if need be; from any thread.

        Raises
        ------
        StructsrError
            If it cannot be read, or there is too little memory.
        """
        with self._computing:
            # another thread may have computed it in the meantime
            if (found := self.find(tile)) is not None:
                return found
            read = self._upscaler.read(tile)
            if read is not None:
                self._learn_range(tile, read.pixels)
            made = self._upscaler.compute(tile, read)[IMAGE]
            self.computed += 1
            with self._finding:
                self._tiles[tile.index] = made
                self._held += made.nbytes
                while len(self._tiles) > 1 and self._held > self._memory:
                    _, gone = self._tiles.popitem(last=False)
                    self._held -= gone.nbytes
            return made

    def _learn_range(self, tile: Tile, pixels: Array) -> None:
        """Take the range from a tile, where samples have shown none."""
        channel = self.axes.channel_of(tile.plane)
        if not self._intensities[channel].constant:
            return
        if found := measure_plane(self.source, tile.plane, pixels):
            self._intensities[channel] = found
            # tiles computed before show one value each, whatever the range
            prepared = self._prepare(lambda _: tuple(self._intensities), Cancel())
            self.spec = prepared.spec
            self._upscaler = TileUpscaler(prepared)

    def _prepare(
        self, measure: Callable[[Source], tuple[Intensity, ...]], cancel: Cancel
    ) -> Prepared:
        prepared = prepare(
            self.source,
            self.model,
            _Screen(),
            self._settings,
            cancel=cancel,
            measure=measure,
        )
        # rounding may differ from that of the larger blocks of a whole run
        return replace(prepared, block=(_SIDE, _SIDE))

    @property
    def tile_sides(self) -> tuple[int, int]:
        """Rows and columns of a tile."""
        return self._grid.unit

    def peek(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array | None:
        """Return a rectangle whose tiles have been computed, None otherwise."""
        tiles = self.list_tiles(plane, rows, columns)
        known = [self.find(tile) for tile in tiles]
        if any(found is None for found in known):
            return None
        if len(tiles) == 1 and tiles[0].write == (rows, columns):
            return known[0]
        return self.read(plane, rows, columns)

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Return a rectangle of a plane, shape (samples, rows, columns)."""
        height, width = (part.stop - part.start for part in (rows, columns))
        found = np.empty((self.axes.samples, height, width), self.dtype)
        for tile in self.list_tiles(plane, rows, columns):
            here, there = find_overlap((rows, columns), tile.write)
            found[:, *here] = self.compute(tile)[:, *there]
        return found


class _Screen:
    """Where a lazy image goes: nowhere on disk, and in tiles of any shape."""

    path: Path | None = None

    def unit(self, spec: ImageSpec) -> tuple[int, int]:
        return 1, 1

    def check(self, spec: ImageSpec) -> None:
        """Accept every image."""


def _open_coarser(
    image: Any, source: Source, reading: Mapping[str, Any]
) -> Iterator[Source]:
    """Open the coarser levels of a pyramid, whose planes are half as large or less."""
    if image is source:
        return
    size = max(source.spec.axes.plane)
    first = int(reading.get("level", 0)) + 1
    for level in range(first, first + 32):
        try:
            found = open_source(image, **{**reading, "level": level})
        except SettingsError:
            return  # there are no more levels
        if 2 * max(found.spec.axes.plane) <= size + 1:
            size = max(found.spec.axes.plane)
            yield found
