"""How a plane is cut into tiles, which follow the chunks of the output."""

from __future__ import annotations

from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import TileGrid


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
