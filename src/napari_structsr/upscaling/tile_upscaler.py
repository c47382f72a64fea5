"""How the pixels of one tile come about.

From the pixels read, with halo, to the pixels written, without: fill where there is
no data, normalise, run the model, agree with the measurement, restore intensities,
round. Each step looks no farther than a known distance; their sum is the halo, so
that a block equals the whole image.
"""

from __future__ import annotations

import numpy as np
import torch

from napari_structsr.core.grid import Slices, Tile, Window
from napari_structsr.core.intensity import map_rows, to_dtype
from napari_structsr.core.types import Array
from napari_structsr.engine.blocks import BlockComputer, Images
from napari_structsr.imaging.filters import fill_missing
from napari_structsr.upscaling.correction import upscale_block
from napari_structsr.upscaling.prepare import Prepared

IMAGE = "image"
"""Name of what is computed."""


class TileUpscaler(BlockComputer[Array]):
    """Reads and upscales the tiles of one run.

    Parameters
    ----------
    prepared
        What is computed, by what, where and how.
    """

    def __init__(self, prepared: Prepared) -> None:
        super().__init__(prepared.grid, prepared.block, prepared.device)
        self._prepared = prepared

    def read_pixels(self, plane: tuple[int, ...], place: Slices) -> Array:
        """Read rows and columns of a plane, shape (samples, rows, columns)."""
        return self._prepared.source.read(plane, *place)

    def crop_pixels(self, pixels: Array, place: Slices) -> Array:
        """Return a part of what was read."""
        return pixels[:, *place]

    def compute_window(self, tile: Tile, window: Window, pixels: Array) -> Images:
        """Upscale one window of a plane, in the type of the result."""
        channel = self._prepared.spec.axes.channel_of(tile.plane)
        return {IMAGE: self._upscale(pixels, window, channel)}

    def _upscale(self, pixels: Array, window: Window, channel: int) -> Array:
        prepared = self._prepared
        intensity = prepared.intensities[channel]
        if intensity.constant:  # no range to normalise by, and nothing to upscale
            return self._repeat(pixels, window).astype(prepared.spec.dtype)
        finite = np.isfinite(pixels)
        whole = bool(finite.all())
        # NaN would spread over the whole field of view of the model
        values = pixels if whole else np.where(finite, pixels, intensity.low)
        measured = torch.from_numpy(
            map_rows(intensity.normalise, values, dtype=np.dtype(np.float32))
        )[:, None]
        if not whole:
            measured = fill_missing(measured, torch.from_numpy(finite)[:, None])
        image = upscale_block(
            measured.to(prepared.device.kind),
            prepared.models[channel],
            prepared.device,
            intensity=intensity,
            agreement=prepared.settings.agreement,
            color=prepared.settings.color,
            least_share=prepared.least_shares[channel]
            if prepared.least_shares
            else 0.0,
        )
        kept = image[:, 0, *window.keep].cpu().numpy()
        dtype = prepared.spec.dtype
        if whole:
            return map_rows(
                lambda rows: to_dtype(intensity.restore(rows), dtype), kept, dtype=dtype
            )
        # filled pixels had to be there for their neighbours, and are no result
        restored = np.where(
            self._repeat(finite, window),
            intensity.restore(kept),
            self._repeat(pixels, window),
        )
        return to_dtype(restored, dtype)

    def _repeat(self, pixels: Array, window: Window) -> Array:
        """Repeat pixels on the finer grid, for what is no number and for constants."""
        factor = self._prepared.models[0].factor
        fine = pixels.repeat(factor, axis=-2).repeat(factor, axis=-1)
        return fine[:, *window.keep]
