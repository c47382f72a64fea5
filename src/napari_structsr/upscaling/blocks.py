"""Computing a tile in blocks that fit into memory.

It owns how large a block is, and makes it smaller, for good, when memory runs short.
"""

from __future__ import annotations

from collections.abc import Callable

from napari_structsr.core.grid import TileGrid, Window
from napari_structsr.engine.device import Device, is_out_of_memory
from napari_structsr.errors import MemoryShortageError

__all__ = ["Blocks"]

_SMALLEST = 32  # input pixels


class Blocks:
    """The blocks of one run.

    Parameters
    ----------
    side
        Input pixels along the side of a block, to begin with.
    device
        Where blocks are computed.

    Attributes
    ----------
    warning
        What the user should hear about the last tile.
    """

    def __init__(self, side: int, device: Device) -> None:
        self.side = side
        self.warning: str | None = None
        self._device = device

    def cover(
        self, window: Window, grid: TileGrid, compute: Callable[[Window], None]
    ) -> None:
        """Compute a window block by block.

        Parameters
        ----------
        window
            Where the tile lies.
        grid
            Geometry that the window belongs to.
        compute
            Called with the place of each block, its `read` and `write` counted from
            those of `window`.

        Raises
        ------
        MemoryShortageError
            If memory is short even for the smallest block.
        """
        waiting = [window]
        while waiting:
            current = waiting.pop()
            longest = max(part.stop - part.start for part in current.write)
            if longest > self.side * grid.factor:
                waiting += grid.split(current, self.side * grid.factor)
                continue
            try:
                compute(current.relative_to(window))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(error)
                waiting.append(current)

    def _shrink(self, error: Exception) -> None:
        """Halve the block after a shortage of memory."""
        self._device.release()
        if self.side // 2 < _SMALLEST:
            raise MemoryShortageError(
                f"{self._device.label} has too little memory for a block of "
                f"{self.side} pixels; close other programs, or compute on the cpu"
            ) from error
        self.side //= 2
        self.warning = (
            f"{self._device.label} ran out of memory; "
            f"going on with blocks of {self.side} pixels"
        )
