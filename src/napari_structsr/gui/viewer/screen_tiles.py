"""A pyramid that is drawn at once from what is there, and completed in the background.

Slicing a layer must not wait for a network or a disk. `ScreenLevel` gives napari what
has been loaded, and where nothing has been yet the next coarser level, as viewers of
maps do; what was missing stands in a list, newest wish first, that a thread works off
with `ScreenTiles.load_next`. Whoever looks elsewhere replaces the list.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from napari_structsr.core.grid import find_overlap
from napari_structsr.core.types import Array
from napari_structsr.io.plane_array import PlaneArray, select_spans

_MEMORY = 1 << 28  # bytes of tiles of the coarser levels


@dataclass(frozen=True)
class Key:
    """One tile of one level: its plane, and its row and column among the tiles."""

    level: int
    plane: tuple[int, ...]
    row: int
    column: int


class ScreenTiles:
    """The tiles of a pyramid: those that are there, and those that are wanted.

    Parameters
    ----------
    levels
        Finest first.
    background
        What is drawn where not even the coarsest level is there.
    """

    def __init__(
        self,
        levels: Sequence[PlaneArray],
        *,
        background: float = 0,
    ) -> None:
        self.levels = tuple(levels)
        self._background = background
        self._tiles: OrderedDict[Key, Array] = OrderedDict()
        self._held = 0
        self._wanted: dict[int, list[Key]] = {}
        self._loading: Key | None = None
        self._changed = threading.Condition()

    @property
    def screen_levels(self) -> list[ScreenLevel]:
        """What is given to a layer, finest first."""
        return [ScreenLevel(self, n) for n in range(len(self.levels))]

    def draw(
        self, level: int, plane: tuple[int, ...], rows: slice, columns: slice
    ) -> Array:
        """Return a rectangle from what is there, and want what is not."""
        place, axes = (rows, columns), self.levels[level].axes
        shape = axes.samples, rows.stop - rows.start, columns.stop - columns.start
        drawn = np.empty(shape, self.levels[level].dtype)
        missing = []
        for key in self._list_keys(level, plane, place):
            tile = self._place_of(key)
            here, there = find_overlap(place, tile)
            if (found := self._find(key)) is not None:
                drawn[:, *here] = found[:, *there]
                continue
            missing.append(key)
            inner = tuple(
                slice(tile[n].start + there[n].start, tile[n].start + there[n].stop)
                for n in range(2)
            )
            drawn[:, *here] = self._draw_coarser(level, plane, (inner[0], inner[1]))
        self._want(level, plane, place, missing)
        return drawn

    def begin(self, level: int) -> None:
        """Forget what was wanted before: of the coarsest level, or of all others."""
        with self._changed:
            last = len(self.levels) - 1
            # napari slices the coarsest for the thumbnail, too, right after each view
            self._wanted = {
                number: keys
                for number, keys in self._wanted.items()
                if (number == last) != (level == last)
            }

    def load_next(self, *, patience: float) -> Key | None:
        """Load one wanted tile; None if none is wanted for `patience` seconds.

        Raises what its level raises where it cannot be read or computed.
        """
        with self._changed:
            if not self._wanted:
                self._changed.wait(patience)
            if not self._wanted:
                return None
            # coarse ones are soon there, and stand for many fine ones
            level = max(self._wanted)
            key = self._wanted[level].pop(0)
            if not self._wanted[level]:
                del self._wanted[level]
            self._loading = key
        try:
            self._load(key)
        finally:
            self._loading = None
        return key

    def _load(self, key: Key) -> None:
        if self._find(key) is not None:
            return
        rows, columns = self._place_of(key)
        found = self.levels[key.level].read(key.plane, rows, columns)
        # what keeps its own tiles needs no second place for them
        if self.levels[key.level].peek(key.plane, rows, columns) is None:
            self._keep(key, found)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is wanted, and nothing being loaded."""
        with self._changed:
            return not self._wanted and self._loading is None

    def _want(
        self,
        level: int,
        plane: tuple[int, ...],
        place: tuple[slice, slice],
        missing: list[Key],
    ) -> None:
        if not missing:
            return
        middle = [(part.start + part.stop) / 2 for part in place]

        def distance(key: Key) -> float:
            tile = self._place_of(key)
            return math.dist([(part.start + part.stop) / 2 for part in tile], middle)

        wanted = {level: sorted(missing, key=distance)}
        # something to look at meanwhile: all at once, and the level below
        for coarser in {level + 1, len(self.levels) - 1} - {level, len(self.levels)}:
            around = self._scale(level, coarser, place)
            keys = self._list_keys(coarser, plane, around)
            wanted[coarser] = [key for key in keys if self._find(key) is None]
        with self._changed:
            for number, keys in wanted.items():
                queue = self._wanted.setdefault(number, [])
                queue += [key for key in keys if key not in queue]
                if not queue:
                    del self._wanted[number]
            self._changed.notify_all()

    def _draw_coarser(
        self, level: int, plane: tuple[int, ...], place: tuple[slice, slice]
    ) -> Array:
        """Return a rectangle as a coarser level shows it, or the background."""
        shape = [part.stop - part.start for part in place]
        for coarser in range(level + 1, len(self.levels)):
            around = self._scale(level, coarser, place)
            found = self._collect(coarser, plane, around)
            if found is None:
                continue
            rows, columns = (
                np.arange(part.start, part.stop) * small // large - outer.start
                for part, outer, small, large in zip(
                    place,
                    around,
                    self.levels[coarser].axes.plane,
                    self.levels[level].axes.plane,
                    strict=True,
                )
            )
            return found[:, rows][:, :, columns]
        samples = self.levels[level].axes.samples
        return np.full((samples, *shape), self._background, self.levels[level].dtype)

    def _collect(
        self, level: int, plane: tuple[int, ...], place: tuple[slice, slice]
    ) -> Array | None:
        """Return a rectangle of a level if all of it is there."""
        axes = self.levels[level].axes
        shape = [part.stop - part.start for part in place]
        whole = np.empty((axes.samples, *shape), self.levels[level].dtype)
        for key in self._list_keys(level, plane, place):
            if (found := self._find(key)) is None:
                return None
            here, there = find_overlap(place, self._place_of(key))
            whole[:, *here] = found[:, *there]
        return whole

    def _scale(
        self, level: int, coarser: int, place: tuple[slice, slice]
    ) -> tuple[slice, slice]:
        """Return the rectangle of a coarser level that holds one of this level."""
        spans = [
            slice(part.start * small // large, (part.stop - 1) * small // large + 1)
            for part, small, large in zip(
                place,
                self.levels[coarser].axes.plane,
                self.levels[level].axes.plane,
                strict=True,
            )
        ]
        return spans[0], spans[1]

    def _list_keys(
        self, level: int, plane: tuple[int, ...], place: tuple[slice, slice]
    ) -> list[Key]:
        spans = (
            range(part.start // side, -(-part.stop // side))
            for part, side in zip(place, self.levels[level].tile_sides, strict=True)
        )
        return [Key(level, plane, row, column) for row, column in product(*spans)]

    def _place_of(self, key: Key) -> tuple[slice, slice]:
        spans = [
            slice(number * side, min((number + 1) * side, size))
            for number, side, size in zip(
                (key.row, key.column),
                self.levels[key.level].tile_sides,
                self.levels[key.level].axes.plane,
                strict=True,
            )
        ]
        return spans[0], spans[1]

    def _find(self, key: Key) -> Array | None:
        own = self.levels[key.level].peek(key.plane, *self._place_of(key))
        if own is not None:
            return own
        with self._changed:
            if (found := self._tiles.get(key)) is not None:
                self._tiles.move_to_end(key)
            return found

    def _keep(self, key: Key, tile: Array) -> None:
        with self._changed:
            self._tiles[key] = tile
            self._held += tile.nbytes
            while len(self._tiles) > 1 and self._held > _MEMORY:
                self._held -= self._tiles.popitem(last=False)[1].nbytes


class ScreenLevel:
    """One level as a layer sees it: sliced at once, drawn from what is there.

    napari slices a level in two steps, so that parts of it are lazy as well. Whoever
    wants the pixels themselves, computed if need be, takes `settled`.

    Parameters
    ----------
    tiles
        Of all levels.
    level
        Which one.
    spans, dropped
        Which indices of each axis, and which axes have gone; all and none by default.
    """

    def __init__(
        self,
        tiles: ScreenTiles,
        level: int,
        spans: Sequence[range] = (),
        dropped: Sequence[bool] = (),
    ) -> None:
        self.settled = tiles.levels[level]
        self.dtype = self.settled.dtype
        self._tiles, self._level = tiles, level
        self._sliced = bool(spans)
        self._spans = spans or [range(size) for size in self.settled.shape]
        self._dropped = dropped or [False] * len(self._spans)

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along every axis that is left."""
        pairs = zip(self._spans, self._dropped, strict=True)
        return tuple(len(span) for span, gone in pairs if not gone)

    @property
    def ndim(self) -> int:
        """Number of axes that are left."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, key: Any) -> ScreenLevel:
        left = [n for n, gone in enumerate(self._dropped) if not gone]
        selected, gone = select_spans([self._spans[n] for n in left], key)
        spans, dropped = list(self._spans), list(self._dropped)
        for n, span, drop in zip(left, selected, gone, strict=True):
            spans[n], dropped[n] = span, drop
        return ScreenLevel(self._tiles, self._level, spans, dropped)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        # the level itself, which no viewer has sliced, is what is saved or measured
        if not self._sliced:
            return self.settled.__array__(dtype, copy)
        # a new look: what was wanted for the one before is not any more
        self._tiles.begin(self._level)
        drawn = _Drawn(self._tiles, self._level).collect(self._spans, self._dropped)
        return np.asarray(drawn, dtype=dtype)


class _Drawn(PlaneArray):
    """The planes of a level, drawn."""

    def __init__(self, tiles: ScreenTiles, level: int) -> None:
        super().__init__(tiles.levels[level].axes, tiles.levels[level].dtype)
        self._tiles, self._level = tiles, level

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Return a rectangle of what is there, shape (samples, rows, columns)."""
        return self._tiles.draw(self._level, plane, rows, columns)
