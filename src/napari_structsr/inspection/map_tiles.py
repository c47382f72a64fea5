"""How the maps of one tile come about.

From the pixels read, with halo, to the maps written, without. Each map looks no
farther than a known distance, so that tiles equal the whole image; the largest
distance of the chosen maps is the halo.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.grid import TileGrid, Window
from napari_structsr.engine.device import Device
from napari_structsr.imaging.expected_error import EXPECTED_ERROR_RADIUS
from napari_structsr.imaging.filters import FILL_RADIUS
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.local_resolution import resolution_radius
from napari_structsr.imaging.orientation import orientation_radius
from napari_structsr.imaging.squirrel import SquirrelFit, squirrel_radius
from napari_structsr.inspection.map_block import (
    MapBlock,
    Pixels,
    ReferenceModels,
    Scaling,
)
from napari_structsr.upscaling.blocks import Blocks

__all__ = ["MapComputer", "map_dtype"]

_BICUBIC_REACH = 3  # source pixels
_RESOLUTION_ALIGN = 16  # pixels of the fixed grid of windows


def map_dtype(key: str) -> np.dtype:
    """Return the type of a map's pixels."""
    return np.dtype(np.uint8 if MAPS[key].classes else np.float32)


class MapComputer:
    """Computes maps of one result, tile by tile.

    Parameters
    ----------
    keys
        Maps to compute.
    forward_model
        How the result is measured; its factor is 1 without a source.
    companions
        Models to run again.
    device
        Where to compute.
    tile
        Source pixels computed at once along a side; None chooses.

    Attributes
    ----------
    scalings
        One for each channel; set before the first tile.
    fits
        SQUIRREL's fit of a plane; set before the first tile, if that map is chosen.
    """

    def __init__(
        self,
        keys: tuple[str, ...],
        *,
        forward_model: ForwardModel,
        companions: ReferenceModels,
        device: Device,
        tile: int | None = None,
    ) -> None:
        self.keys = keys
        self.factor = forward_model.factor
        self.forward_model = forward_model
        self.companions = companions
        self.device = device
        self.blocks = Blocks(tile or max(64, device.block * 2 // self.factor), device)
        self.scalings: tuple[Scaling, ...] = ()
        self.fits: Callable[[tuple[int, ...]], SquirrelFit] | None = None

    @property
    def halo(self) -> int:
        """Pixels of the coarser grid that decide a pixel of a map, to each side."""
        fine, coarse = 0, 0
        for key in self.keys:
            one, other = self._reach(key)
            fine, coarse = max(fine, one), max(coarse, other)
        return FILL_RADIUS + coarse + -(-fine // self.factor)

    @property
    def align(self) -> int:
        """Pixels of the coarser grid of whose multiples tiles are read."""
        aligns = [model.align for model in self.companions.loaded]
        if "resolution" in self.keys:
            aligns.append(_RESOLUTION_ALIGN)
        return math.lcm(1, *aligns)

    @property
    def block_bytes(self) -> int:
        """Estimate of the memory that one block takes while it is computed."""
        side = self.blocks.side + 2 * self.halo
        models = [model.values_per_pixel for model in self.companions.loaded]
        values = max(models, default=0) * self.device.bytes_per_value
        return side**2 * (values + 4 * (16 + 2 * len(self.keys)) * self.factor**2)

    def __call__(
        self,
        window: Window,
        grid: TileGrid,
        pixels: Pixels,
        *,
        plane: tuple[int, ...],
        channel: int,
    ) -> dict[str, npt.NDArray[Any]]:
        """Compute the maps of one tile.

        Parameters
        ----------
        window
            Where the tile lies.
        grid
            Geometry that the window belongs to.
        pixels
            What was read.
        plane, channel
            Index along the loops, and along c, for fits and statistics.

        Returns
        -------
        dict of str to ndarray
            By key, shape (1, rows, columns) of ``window.write``; NaN where an image
            that a map compares is no number, 0 for classes.

        Raises
        ------
        MemoryShortageError
            If memory is short even for the smallest block.
        """
        shape = (1, *(part.stop - part.start for part in window.write))
        maps = {key: np.empty(shape, map_dtype(key)) for key in self.keys}

        def compute(place: Window) -> None:
            """Compute one block."""
            found = self._block(pixels.part(place, self.factor), plane, channel)
            for key, values in found.items():
                maps[key][:, *place.write] = values[:, *place.keep]

        self.blocks.cover(window, grid, compute)
        return maps

    def _block(
        self, pixels: Pixels, plane: tuple[int, ...], channel: int
    ) -> dict[str, npt.NDArray[Any]]:
        """Compute what fits into memory at once, with halo."""
        with torch.inference_mode():
            block = MapBlock(
                pixels,
                self.scalings[channel],
                companions=self.companions,
                device=self.device,
                forward_model=self.forward_model,
                fit=self.fits(plane) if self.fits else None,
            )
            found = {}
            for key in self.keys:
                values = block.computed(key)[:, 0].cpu().numpy()
                holes = block.holes(key)
                if holes is not None:
                    values[holes] = 0 if MAPS[key].classes else np.nan
                found[key] = values.astype(map_dtype(key), copy=False)
            return found

    def _reach(self, key: str) -> tuple[int, int]:
        """Return how far a map looks: pixels of the result, and of the source."""
        models = max((model.radius for model in self.companions.loaded), default=0)
        forward = self.forward_model
        return {
            "error": (0, 0),
            "ssim": (5, 0),
            "gradient": (1, 0),
            "gradient_similarity": (1, 0),
            "coherence": (orientation_radius(), 0),
            "orientation": (orientation_radius(), 0),
            "resolution": (resolution_radius(), 0),
            "change": (0, _BICUBIC_REACH),
            "residual": (0, forward.reach + 1),
            "squirrel": (squirrel_radius(), _BICUBIC_REACH),
            "artefact": (5, models),
            "spread": (0, models),
            "null_space": (0, forward.radius + 1),
            "trust": (0, EXPECTED_ERROR_RADIUS + 1),
            "interval": (0, EXPECTED_ERROR_RADIUS + 1),
        }[key]
