"""How a plane is cut into tiles, which follow the chunks of the output; their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import TileGrid
from napari_structsr.io.source import Source


def lay_tiles(
    axes: Axes,
    unit: tuple[int, int],
    *,
    side: tuple[int, int],
    factor: int,
    halo: int,
    align: int,
) -> TileGrid:
    """Lay tiles over the write units of a sink.

    `axes` are those of what is written, and `unit` the rows and columns that must be
    written together; `side` is about what a tile reads along y and x.
    """
    height, width = axes.plane
    rows, columns = (
        part * max(1, round(wanted * factor / part))
        for part, wanted in zip(unit, side, strict=True)
    )
    return TileGrid(
        loops=tuple(axis.size for axis in axes.loops),
        shape=(height // factor, width // factor),
        factor=factor,
        unit=(rows, columns),
        halo=halo,
        align=align,
    )


def find_depths(sources: Sequence[Source]) -> tuple[int, ...]:
    """Return how many planes along each loop are stored together, at most."""
    return tuple(
        max(getattr(source, "depths", {}).get(axis.name, 1) for source in sources)
        for axis in sources[0].spec.axes.loops
    )


def order_tiles(
    tiles: Sequence[int], grid: TileGrid, depths: Sequence[int]
) -> Sequence[int]:
    """Return tiles in the order in which each chunk of the input is read once.

    Where a chunk holds many planes, a tile is made of all of these before the next
    place: plane by plane, each chunk would be read anew for every plane, since those
    of a large plane are too many to be kept.

    Parameters
    ----------
    tiles
        Numbers of tiles, in order.
    grid
        All tiles.
    depths
        Of what is read, see `find_depths`.
    """
    if max(depths, default=1) == 1:
        return tiles
    counts = (*grid.loops, grid.rows, grid.columns)
    *planes, row, column = np.unravel_index(np.asarray(tiles, np.int64), counts)
    chunks = [plane // depth for plane, depth in zip(planes, depths, strict=True)]
    # the last key counts most
    order = np.lexsort([*reversed(planes), column, row, *reversed(chunks)])
    found: list[int] = np.asarray(tiles)[order].tolist()
    return found
