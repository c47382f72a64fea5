"""How the maps of one tile come about: from the pixels read, with halo, to the maps."""

from __future__ import annotations

import numpy as np
import torch

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.grid import Tile, TileGrid, Window
from napari_structsr.core.types import Array
from napari_structsr.engine.tiles import BlockSplitter
from napari_structsr.inspection.map_block import MapBlock, Pixels
from napari_structsr.inspection.setup import Setup


def map_dtype(key: str) -> np.dtype:
    """Return the type of a map's pixels."""
    return np.dtype(np.uint8 if MAPS[key].classes else np.float32)


class TileMapper:
    """Reads the tiles of one inspection and computes their maps."""

    def __init__(self, setup: Setup, grid: TileGrid) -> None:
        self.grid = grid
        self._setup = setup
        self._blocks = BlockSplitter(setup.block_side, setup.device)

    def take_warning(self) -> str | None:
        """Return, once, what the user should hear about the last tile."""
        return self._blocks.take_warning()

    def read(self, tile: Tile) -> Pixels:
        """Read what a tile needs, with halo."""
        matched, coarse = self._setup.matched, tile.read
        rows, columns = (
            slice(part.start * matched.factor, part.stop * matched.factor)
            for part in coarse
        )
        reference, source = matched.reference, matched.source
        return Pixels(
            matched.result.read(tile.plane, rows, columns),
            None if reference is None else reference.read(tile.plane, rows, columns),
            None if source is None else source.read(tile.plane, *coarse),
        )

    def compute(self, tile: Tile, pixels: Pixels) -> dict[str, Array]:
        """Compute the maps of one tile from what was read for it.

        They come by key, of shape (1, rows, columns) of ``tile.write``; NaN where an
        image that a map compares is no number, 0 for classes.
        """
        shape = (1, *(part.stop - part.start for part in tile.write))
        maps = {key: np.empty(shape, map_dtype(key)) for key in self._setup.keys}

        def compute(place: Window) -> None:
            part = pixels.crop(place, self._setup.matched.factor)
            for key, values in self._compute_block(part, tile.plane).items():
                maps[key][:, *place.write] = values[:, *place.keep]

        self._blocks.compute(tile, self.grid, compute)
        return maps

    def _compute_block(
        self, pixels: Pixels, plane: tuple[int, ...]
    ) -> dict[str, Array]:
        with torch.inference_mode():
            block = MapBlock(self._setup, pixels, plane)
            found = {}
            for key in self._setup.keys:
                values = block.compute(key)[:, 0].cpu().numpy()
                # what was filled to be computed is cut out again
                holes = block.find_holes(key)
                if holes is not None:
                    values[holes] = 0 if MAPS[key].classes else np.nan
                found[key] = values.astype(map_dtype(key), copy=False)
            return found
