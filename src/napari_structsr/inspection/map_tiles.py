"""How the maps of one tile come about: from the pixels read, with halo, to the maps."""

from __future__ import annotations

import numpy as np
import torch

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.grid import Slices, Tile, TileGrid, Window
from napari_structsr.engine.blocks import BlockComputer, Images
from napari_structsr.inspection.map_block import MapBlock, Pixels
from napari_structsr.inspection.setup import Setup


def map_dtype(key: str) -> np.dtype:
    """Return the type of a map's pixels."""
    return np.dtype(np.uint8 if MAPS[key].classes else np.float32)


class TileMapper(BlockComputer[Pixels]):
    """Reads the tiles of one inspection and computes their maps."""

    def __init__(self, setup: Setup, grid: TileGrid) -> None:
        super().__init__(grid, (setup.block_side,) * 2, setup.device)
        self._setup = setup

    def read_pixels(self, plane: tuple[int, ...], place: Slices) -> Pixels:
        """Read rows and columns of the source, and the same place of the others."""
        matched = self._setup.matched
        rows, columns = (
            slice(part.start * matched.factor, part.stop * matched.factor)
            for part in place
        )
        reference, source = matched.reference, matched.source
        return Pixels(
            matched.result.read(plane, rows, columns),
            None if reference is None else reference.read(plane, rows, columns),
            None if source is None else source.read(plane, *place),
        )

    def crop_pixels(self, pixels: Pixels, place: Slices) -> Pixels:
        """Return a part of what was read."""
        return pixels.crop(place, self._setup.matched.factor)

    def compute_window(self, tile: Tile, window: Window, pixels: Pixels) -> Images:
        """Compute the maps of one window, by key, of shape (1, rows, columns).

        They are NaN where an image that a map compares is no number, 0 for classes.
        """
        with torch.inference_mode():
            block = MapBlock(self._setup, pixels, tile.plane)
            found = {}
            for key in self._setup.keys:
                values = block.compute(key)[:, 0].cpu().numpy()
                # what was filled to be computed is cut out again
                holes = block.find_holes(key)
                if holes is not None:
                    values[holes] = 0 if MAPS[key].classes else np.nan
                found[key] = values[:, *window.keep].astype(map_dtype(key))
            return found
