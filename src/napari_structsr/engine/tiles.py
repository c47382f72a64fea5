"""How a plane is cut: into tiles that are written whole, and blocks that fit in memory.

A tile follows the chunks of the output. It is computed in blocks, whose size follows
the memory of the device and shrinks, for good, when that runs short.
"""

from __future__ import annotations

from collections.abc import Callable

from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import TileGrid, Window
from napari_structsr.engine.device import Device, is_out_of_memory
from napari_structsr.errors import MemoryShortageError

_SMALLEST = 32  # input pixels


def lay_tiles(
    axes: Axes,
    unit: tuple[int, int],
    *,
    side: int,
    factor: int,
    halo: int,
    align: int,
) -> TileGrid:
    """Lay tiles over the write units of a sink, about as large as is computed.

    `axes` are those of what is written, and `unit` the rows and columns that must be
    written together; `side` pixels of what is read are computed at once along a side.
    """
    height, width = axes.plane
    rows, columns = (part * max(1, round(side * factor / part)) for part in unit)
    return TileGrid(
        loops=tuple(axis.size for axis in axes.loops),
        shape=(height // factor, width // factor),
        factor=factor,
        unit=(rows, columns),
        halo=halo,
        align=align,
    )


class BlockSplitter:
    """Splits the tiles of one run into blocks that fit into the memory of a device.

    They begin with `side` input pixels along a side.
    """

    def __init__(self, side: int, device: Device) -> None:
        self._side = side
        self._device = device
        self._warning: str | None = None

    def compute(
        self, window: Window, grid: TileGrid, block: Callable[[Window], None]
    ) -> None:
        """Compute a window of a grid block by block.

        `block` is called with the window of each, its `read` and `write` counted from
        those of `window`. `MemoryShortageError` says that even the smallest block
        does not fit.
        """
        # a block that was too large is split further, and the rest with it
        waiting = [window]
        while waiting:
            current = waiting.pop()
            longest = max(part.stop - part.start for part in current.write)
            # a side may have shrunk since the window was queued
            if longest > self._side * grid.factor:
                waiting += grid.split(current, self._side * grid.factor)
                continue
            try:
                block(current.relative_to(window))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(error)
                waiting.append(current)

    def take_warning(self) -> str | None:
        """Return, once, what the user should hear about the last tile."""
        warning, self._warning = self._warning, None
        return warning

    def _shrink(self, error: Exception) -> None:
        # cached memory is fragmented by the size that failed
        self._device.release()
        if self._side // 2 < _SMALLEST:
            raise MemoryShortageError(
                f"{self._device.label} has too little memory for a block of "
                f"{self._side} pixels; close other programs, or compute on the cpu"
            ) from error
        self._side //= 2
        self._warning = (
            f"{self._device.label} ran out of memory; "
            f"going on with blocks of {self._side} pixels"
        )
