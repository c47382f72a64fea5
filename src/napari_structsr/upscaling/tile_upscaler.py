"""How the pixels of one tile come about.

From the pixels read, with halo, to the pixels written, without: fill where there is
no data, normalise, run the model, agree with the measurement, restore intensities,
round. Each step looks no farther than a known distance; their sum is the halo, so
that a tile equals the whole image. When memory is short the tile is computed in
smaller blocks, and those after it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.core.grid import Tile, TileGrid, Window
from napari_structsr.core.intensity import Intensity, to_dtype
from napari_structsr.engine.device import Device
from napari_structsr.engine.events import Cancel
from napari_structsr.imaging.agreement import agree, agreement_radius, minimum_share
from napari_structsr.imaging.filters import FILL_RADIUS, fill_missing
from napari_structsr.imaging.forward import noise_variance
from napari_structsr.io.source import Source
from napari_structsr.io.views import LUMINANCE
from napari_structsr.models.generator import interpolate
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.blocks import Blocks
from napari_structsr.upscaling.settings import UpscaleSettings

__all__ = ["TileUpscaler"]


class TileUpscaler:
    """Computes tiles of one source with one model on one device.

    Parameters
    ----------
    source, model, device, settings
        What is computed, by what, where and how.

    Attributes
    ----------
    intensities
        Statistics by channel; set before the first tile.
    blocks
        What is computed at once.
    least_shares
        Least share of the residual to correct within noise, by channel; see
        `calibrate`.
    """

    def __init__(
        self, source: Source, model: SRModel, device: Device, settings: UpscaleSettings
    ) -> None:
        self.model = model
        self.device = device
        self.settings = settings
        self.axes = source.spec.axes
        self.blocks = Blocks(settings.tile or device.block, device)
        self.intensities: tuple[Intensity, ...] = ()
        self.least_shares: tuple[float, ...] = ()
        self._holes = source.spec.dtype.kind == "f"
        kept = source.spec.dtype if settings.dtype == "same" else np.dtype(np.float32)
        self.dtype = kept

    @property
    def halo(self) -> int:
        """Input pixels that decide an output pixel, to each side."""
        reach = agreement_radius(self.model.forward_model, self.settings.agreement)
        return self.model.radius + reach + (FILL_RADIUS if self._holes else 0)

    @property
    def block_bytes(self) -> int:
        """Estimate of the memory that one block takes while it is computed."""
        side = min(self.blocks.side, *self.axes.plane) + 2 * self.halo
        side += 2 * (self.model.align - 1)
        values = self.model.values_per_pixel * self.device.bytes_per_value
        return side**2 * (values + 8 * 4 * self.model.factor**2) * self.axes.samples

    def channel_of(self, tile: Tile) -> int:
        """Index along c of a tile."""
        return self.axes.channel_of(tile.plane)

    def __call__(
        self,
        window: Window,
        grid: TileGrid,
        pixels: npt.NDArray[Any],
        channel: int,
    ) -> npt.NDArray[Any]:
        """Compute one tile.

        Parameters
        ----------
        window
            Where the tile lies.
        grid
            Geometry that the window belongs to.
        pixels
            What was read at ``window.read``, shape (samples, rows, columns).
        channel
            Index along c, for its statistics.

        Returns
        -------
        ndarray
            Shape (samples, rows, columns) of ``window.write``, type of the result.

        Raises
        ------
        MemoryShortageError
            If memory is short even for the smallest block.
        """
        rows, columns = (part.stop - part.start for part in window.write)
        result = np.empty((len(pixels), rows, columns), self.dtype)

        def compute(place: Window) -> None:
            """Compute one block."""
            block = self._block(pixels[:, *place.read], place, channel)
            result[:, *place.write] = block

        self.blocks.cover(window, grid, compute)
        return result

    def calibrate(
        self, samples: Sequence[Sequence[npt.NDArray[Any]]], cancel: Cancel
    ) -> None:
        """Find the least shares of correction from finite samples of each channel.

        A sample has the shape (samples, rows, columns); they may differ in size.
        """
        self.least_shares = tuple(
            self._least_share(blocks, intensity, cancel)
            for blocks, intensity in zip(samples, self.intensities, strict=True)
        )

    def _least_share(
        self,
        blocks: Sequence[npt.NDArray[Any]],
        intensity: Intensity,
        cancel: Cancel,
    ) -> float:
        """Find the least share of one channel; after a cancel it has no meaning."""
        if intensity.constant:
            return 0.0
        pairs = []
        for block in blocks:
            if cancel:
                break
            measured = torch.from_numpy(intensity.normalise(block))[:, None]
            measured = measured.to(self.device.kind)
            image = agree(
                self._upscaled(measured),
                measured,
                self.model.forward_model,
                agreement="noise",
                variance=self._variance(measured, intensity),
            )
            again = self.model.forward_model(image)
            pairs.append(torch.stack([measured.flatten(), again.flatten()]).cpu())
        if not pairs:
            return 0.0
        measured, again = torch.cat(pairs, dim=1)
        return minimum_share(measured, again)

    def _block(
        self, pixels: npt.NDArray[Any], window: Window, channel: int
    ) -> npt.NDArray[Any]:
        """Compute what fits into memory at once."""
        intensity = self.intensities[channel]
        if intensity.constant:
            return self._repeat(pixels, window).astype(self.dtype)
        finite = np.isfinite(pixels)
        whole = bool(finite.all())
        values = pixels if whole else np.where(finite, pixels, intensity.low)
        measured = torch.from_numpy(intensity.normalise(values))[:, None]
        if not whole:
            measured = fill_missing(measured, torch.from_numpy(finite)[:, None])
        measured = measured.to(self.device.kind)
        image = agree(
            self._upscaled(measured),
            measured,
            self.model.forward_model,
            agreement=self.settings.agreement,
            variance=self._variance(measured, intensity),
            minimum_share=self.least_shares[channel] if self.least_shares else 0.0,
        )
        kept = image[:, 0, *window.keep].cpu().numpy()
        restored = intensity.restore(kept)
        if not whole:
            restored = np.where(
                self._repeat(finite, window), restored, self._repeat(pixels, window)
            )
        return to_dtype(restored, self.dtype)

    def _upscaled(self, measured: Tensor) -> Tensor:
        """Upscale each sample, or the luminance alone; shape (samples, 1, h, w)."""
        opaque = len(measured) != 4
        colours = measured if opaque else measured[:3]
        if self.settings.color == "luminance":
            base = interpolate(colours, self.model.factor, mode="bicubic")
            weights = measured.new_tensor(LUMINANCE).reshape(3, 1, 1, 1)
            luminance = (colours * weights).sum(0, keepdim=True)
            plain = interpolate(luminance, self.model.factor, mode="bicubic")
            image = base + self.device.run(self.model, luminance) - plain
        else:
            image = self.device.run(self.model, colours)
        if not opaque:  # transparency is no structure
            alpha = interpolate(measured[3:], self.model.factor, mode="bilinear")
            image = torch.cat([image, alpha])
        return image

    def _variance(self, measured: Tensor, intensity: Intensity) -> Tensor | None:
        """Return the variance of the noise, in normalised units."""
        if self.settings.agreement != "noise":
            return None
        return noise_variance(measured, intensity)

    def _repeat(self, pixels: npt.NDArray[Any], window: Window) -> npt.NDArray[Any]:
        """Repeat pixels on the finer grid, for what is no number and for constants."""
        factor = self.model.factor
        fine = pixels.repeat(factor, axis=-2).repeat(factor, axis=-1)
        return fine[:, *window.keep]
