"""Scores on the regions for validation, tile by tile, and a tile to look at.

Each region is cut into tiles, so that a gain can be told from chance. Empty tiles,
which show less than their noise, are left out while there are others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from napari_structsr.core.types import Float32Array, Float64Array
from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.pair_optics import find_pair_optics
from napari_structsr.finetuning.region_geometry import Block
from napari_structsr.finetuning.split import Split
from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.ssim import ssim
from napari_structsr.imaging.structure import gradient_difference_map
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.training.validation import Network, ScoredPart, bicubic

_TILES = (48, 32, 24)  # measured pixels; smaller ones where there are few of large
_ENOUGH = 8  # tiles, of which a gain can be told from chance
_LEAST = 12  # measured pixels; the window of SSIM must fit in
_MOST = 64  # tiles
_LEAST_SLOPE = 1e-6  # mean gradient, so that empty tiles can be scored as well
_FINE, _BROAD = 1.0, 6.0  # measured pixels; structures between them are correlated


@dataclass(frozen=True)
class TilePreview:
    """A tile, and what became of it; images of shape (h, w) or (factor h, factor w)."""

    measured: Float32Array
    bicubic: Float32Array
    parent: Float32Array
    adapted: Float32Array
    truth: Float32Array


@dataclass(frozen=True)
class _Tile(ScoredPart):
    psf_sigma: float


class PairValidation:
    """Tiles of the regions for validation, on a device of torch.

    Parameters
    ----------
    pairs, split
        As in `iter_fine_tune`.
    parent
        On the device; told the optics of each pair if it is conditional.
    device
        Name for torch.

    Attributes
    ----------
    bicubic, parent
        Scores, shape (tiles, 3), by `verdict.MEASURES`.
    pair_correlation
        Correlation of measurement and truth of each tile, NaN for flat ones.
    """

    def __init__(
        self,
        pairs: Sequence[ImagePair],
        split: Split,
        *,
        parent: SRModel,
        device: str,
    ) -> None:
        # Upscaled with the pixels around, as in a whole image, but never beyond the
        # gap: those next to it were trained on.
        told = [find_pair_optics(pair, parent) for pair in pairs]
        around = min(parent.radius, split.gap)
        tiles: list[_Tile] = []
        for side in _TILES:
            tiles = list(_cut_tiles(pairs, split, around, device, told=told, side=side))
            if len(tiles) >= _ENOUGH:
                break
        if not tiles:
            raise TrainingError(
                f"no region for validation is {_LEAST} measured pixels wide; draw "
                "larger regions, or keep more of them for validation"
            )
        tiles = [tile for tile in tiles if _stands_out(tile)] or tiles
        # Spread over all regions, as each score of each tile takes time.
        chosen = np.linspace(0, len(tiles) - 1, min(len(tiles), _MOST)).round()
        self._tiles = [tiles[int(number)] for number in chosen]
        self.pair_correlation = np.array([_correlate(tile) for tile in tiles])
        slopes = [_difference(torch.zeros_like(t.truth), t.truth) for t in self._tiles]
        self._slope = max(float(np.mean(slopes)), _LEAST_SLOPE)
        self._interpolate = bicubic(pairs[0].factor)
        self.bicubic = self.score(self._interpolate)
        self.parent = self.score(parent.network)
        # The tile that is shown stays the same, so that one can see it improve.
        details = [float(tile.truth.diff(dim=-1).abs().mean()) for tile in self._tiles]
        self._shown = self._tiles[int(np.argmax(details))]
        self._shown_parent = self._shown.upscale(parent.network)

    def score(self, network: Network) -> Float64Array:
        """Return the scores of each tile, shape (tiles, 3), by `verdict.MEASURES`.

        Structure error is in units of the mean gradient of all tiles: there is little
        to get wrong in an empty tile, and it counts little.
        """
        rows = []
        for tile in self._tiles:
            result = tile.upscale(network)
            mse = float(((result - tile.truth) ** 2).mean())
            rows.append(
                (
                    -10 * np.log10(max(mse, 1e-12)),
                    float(ssim(result, tile.truth).mean()),
                    _difference(result, tile.truth) / self._slope,
                )
            )
        # A network that diverged gives NaN; as 0 dB it is never kept as the best.
        table: Float64Array = np.nan_to_num(np.array(rows, np.float64))
        return table

    def compare(self, network: Network) -> dict[str, Float64Array]:
        """Return the scores of each of `verdict.METHODS`, as `score` gives them."""
        adapted = self.score(network)
        return {"bicubic": self.bicubic, "parent": self.parent, "adapted": adapted}

    def preview(self, network: Network) -> TilePreview:
        """Return the tile with the most detail, and what becomes of it."""
        tile = self._shown
        images = (
            tile.measured,
            tile.upscale(self._interpolate),
            self._shown_parent,
            tile.upscale(network),
            tile.truth,
        )
        pixels = (image[0, 0].float().cpu().numpy().copy() for image in images)
        return TilePreview(*pixels)


def _cut_tiles(
    pairs: Sequence[ImagePair],
    split: Split,
    around: int,
    device: str,
    *,
    told: Sequence[tuple[float, ...]],
    side: int,
) -> Iterator[_Tile]:
    """Cut the regions for validation into tiles of about one size."""
    for block in split.validation:
        pair = pairs[block.pair]
        height, width = pair.measured.shape
        for top, bottom in _cut_line(*block.rows, side):
            for left, right in _cut_line(*block.columns, side):
                first_row, first_column = max(0, top - around), max(0, left - around)
                wide = pair.measured[
                    first_row : min(height, bottom + around),
                    first_column : min(width, right + around),
                ]
                truth = Block(block.pair, (top, bottom), (left, right)).truth(pair)
                yield _Tile(
                    torch.from_numpy(wide.copy())[None, None].to(device),
                    slice(top - first_row, bottom - first_row),
                    slice(left - first_column, right - first_column),
                    torch.from_numpy(truth.copy())[None, None].to(device),
                    pair.psf_sigma,
                    optics=tuple(
                        torch.tensor([value], device=device)
                        for value in told[block.pair]
                    ),
                )


def _cut_line(first: int, last: int, side: int) -> list[tuple[int, int]]:
    """Cut a line into parts of about the side of a tile; none if it is too short."""
    if last - first < _LEAST:
        return []
    # Of equal size: a narrow rest would weigh as much as a whole tile.
    count = max(1, round((last - first) / side))
    ends = [first + (last - first) * n // count for n in range(count + 1)]
    return list(pairwise(ends))


def _measure_again(tile: _Tile) -> Tensor:
    """Return what the truth would be measured as, without noise."""
    return ForwardModel(tile.factor, tile.psf_sigma)(tile.truth)


def _stands_out(tile: _Tile) -> bool:
    """Tell whether what a tile shows is stronger than the noise of its measurement."""
    # An empty tile comes out with 50 dB and more, where decibels tell nothing.
    return 2 * float(_measure_again(tile).var()) > float(tile.measured.var())


def _difference(result: Tensor, truth: Tensor) -> float:
    return float(gradient_difference_map(result, truth).mean())


def _correlate(tile: _Tile) -> float:
    """Correlate the measurement with the truth, measured, at structures of a size."""
    # A broad background correlates in pairs of different places as well, and fine
    # noise hides that the places are the same: both are filtered out.
    one, other = (
        (smooth(image, _FINE) - smooth(image, _BROAD)).double()
        for image in (_measure_again(tile), tile.measured)
    )
    power = (one**2).mean() * (other**2).mean()
    return float((one * other).mean() / power.sqrt()) if power > 0 else float("nan")
