"""A plate at a glance: the first field of each well, laid out as the wells are.

Wells are opened when they are looked at, so that a plate of 384 opens as quickly as one
of two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import zarr

from napari_structsr.core.types import Array
from napari_structsr.errors import SourceError, blame_file
from napari_structsr.io.ome_zarr.contents import get_ome, list_places, list_wells
from napari_structsr.io.ome_zarr.metadata import Folder, is_zarr_group
from napari_structsr.io.ome_zarr.reader import open_node, open_zarr
from napari_structsr.io.remote.place import RemotePlace
from napari_structsr.io.source import Source

_OPEN = 64  # wells that stay open at a time


class PlateMosaic:
    """The first field of each well of a plate, as one image.

    Parameters
    ----------
    path
        Folder or address of the plate.
    level
        Of the pyramids, 0 the finest.

    Raises
    ------
    SourceError
        If the plate holds no image, or its metadata are damaged.
    """

    def __init__(self, path: Folder, *, level: int = 0) -> None:
        self.options: Mapping[str, Any] = {}
        self.origin = str(path)
        self._path, self._level = path, level
        with _blame(path):
            self._wells = dict(_place_wells(path))
        # a cache of its own for each mosaic, which goes with it
        self._open = lru_cache(maxsize=_OPEN)(self._open_well)
        first = next((w for w in map(self._open, self._wells.values()) if w), None)
        if first is None:
            raise SourceError(f"none of the wells of {path} holds an image")
        self._field = first.spec.axes.plane
        rows, columns = (1 + max(places) for places in zip(*self._wells, strict=True))
        axes = first.spec.axes
        sizes = {"y": rows * self._field[0], "x": columns * self._field[1]}
        items = (
            replace(axes[name], size=size, translate=0.0)
            for name, size in sizes.items()
        )
        title = path.name.removesuffix(".zarr").removesuffix(".ome")
        self.spec = replace(first.spec, name=title, axes=axes.with_axes(*items))
        self.chunks = first.chunks
        self.levels = getattr(first, "levels", 1)

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane; nothing is where there is no well."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        out = np.zeros((self.spec.axes.samples, *shape), self.spec.dtype)
        height, width = self._field
        for row in range(rows.start // height, math.ceil(rows.stop / height)):
            for column in range(
                columns.start // width, math.ceil(columns.stop / width)
            ):
                well = self._wells.get((row, column))
                if well is None or (source := self._open(well)) is None:
                    continue
                y, x = row * height, column * width
                # the part of this well that is asked for
                mine = slice(max(rows.start - y, 0), min(rows.stop - y, height))
                own = slice(max(columns.start - x, 0), min(columns.stop - x, width))
                top, left = y + mine.start - rows.start, x + own.start - columns.start
                found = source.read(plane, mine, own)
                out[:, top : top + found.shape[1], left : left + found.shape[2]] = found
        return out

    def _open_well(self, well: str) -> Source | None:
        """Return the first field of a well; None where there is none."""
        with _blame(self._path / well):
            if not is_zarr_group(self._path / well):
                return None
            group = open_node(self._path / well)
            if not isinstance(group, zarr.Group):
                return None
            places = list_places(group, origin=str(self._path / well))
            if not places:
                return None
            field = self._path / well / places[0].path
            return open_zarr(field, axes=None, level=self._level, name=None)


def _blame(path: Folder) -> AbstractContextManager[None]:
    """Name the plate, or the well, in whatever it lets its reader raise."""
    remedy = "copy the plate again from where it came from"
    return blame_file(str(path), SourceError, what="a plate", remedy=remedy)


def _place_wells(path: Folder) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield row and column of each well, and its path."""
    group: Any = open_node(path)
    plate = get_ome(group).get("plate") or {}
    names = {
        kind: [str(one.get("name")) for one in plate.get(kind) or ()]
        for kind in ("rows", "columns")
    }
    for well in list_wells(group, origin=str(path)):
        row, _, column = well.partition("/")
        try:
            place = names["rows"].index(row), names["columns"].index(column)
        except ValueError as error:
            raise SourceError(
                f"the plate {path} has no place for its well {well}; its rows are "
                f"{', '.join(names['rows'])}, its columns {', '.join(names['columns'])}"
            ) from error
        # at an address every look costs time: a well that is not there shows nothing
        if isinstance(path, RemotePlace) or (path / well).is_dir():
            yield place, well
