"""Scores of the user's regions that judge, tile by tile, and a region to look at.

Each region is cut into tiles, so that chance can be told from a gain. A tile is
upscaled with the measured pixels around it, as in a whole image, but never beyond the
guard band: those next to it taught. Empty tiles, which show less than their noise, do
not judge while there are others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.split import Split
from napari_structsr.finetuning.verdict import MEASURES
from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.ssim import ssim
from napari_structsr.imaging.structure import gradient_difference_map
from napari_structsr.models.generator import interpolate
from napari_structsr.pairs.image_pair import ImagePair

__all__ = ["PairValidation", "TilePreview"]

_TILE = 48  # measured pixels
_LEAST = 12  # measured pixels; the window of SSIM must fit in
_MOST = 64  # tiles
_LEAST_SLOPE = 1e-6  # mean gradient, so that empty tiles can be scored as well
_FINE, _BROAD = 1.0, 6.0  # measured pixels; structures between them tell belonging

Network = Callable[[Tensor], Tensor]
Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TilePreview:
    """A tile, and what became of it; images of shape (h, w) or (factor h, factor w)."""

    measured: Pixels
    bicubic: Pixels
    parent: Pixels
    adapted: Pixels
    truth: Pixels


@dataclass(frozen=True)
class _Tile:
    """A tile with its surroundings, and where it lies in them."""

    surroundings: Tensor
    rows: slice
    columns: slice
    truth: Tensor
    psf_sigma: float


class PairValidation:
    """Tiles of the regions that judge.

    Parameters
    ----------
    pairs, split
        Of the user.
    parent
        Maps measured images to results.
    radius
        Measured pixels that a result depends on, to each side.
    device
        Name for torch.

    Attributes
    ----------
    bicubic, parent
        Scores, shape (tiles, 3), columns as in `MEASURES`.
    belonging
        Correlation of measurement and truth of each tile, NaN for flat ones.
    """

    def __init__(
        self,
        pairs: Sequence[ImagePair],
        split: Split,
        *,
        parent: Network,
        radius: int,
        device: str,
    ) -> None:
        self.factor = pairs[0].factor
        tiles = list(_tiles(pairs, split, min(radius, split.gap), device))
        if not tiles:
            raise TrainingError(
                f"no region that judges is {_LEAST} measured pixels wide; draw larger "
                "regions, or let more of them judge"
            )
        tiles = [tile for tile in tiles if _stands_out(tile, self.factor)] or tiles
        chosen = np.linspace(0, len(tiles) - 1, min(len(tiles), _MOST)).round()
        self._tiles = [tiles[int(number)] for number in chosen]
        self.pair_correlation = np.array(
            [_belonging(tile, self.factor) for tile in tiles]
        )
        slopes = [_difference(torch.zeros_like(t.truth), t.truth) for t in self._tiles]
        self._slope = max(float(np.mean(slopes)), _LEAST_SLOPE)
        self._by_bicubic: Network = partial(
            interpolate, factor=self.factor, mode="bicubic"
        )
        self.bicubic = self.score(self._by_bicubic)
        self.parent = self.score(parent)
        details = [float(tile.truth.diff(dim=-1).abs().mean()) for tile in self._tiles]
        self._shown = self._tiles[int(np.argmax(details))]
        self._parent_view = self._upscaled(self._shown, parent)

    def score(self, network: Network) -> npt.NDArray[np.float64]:
        """Score each tile, shape (tiles, 3).

        Structure error is in units of the mean gradient of all tiles: of an empty tile
        little is to be got wrong, and it counts little.
        """
        rows = []
        for tile in self._tiles:
            result = self._upscaled(tile, network)
            mse = float(((result - tile.truth) ** 2).mean())
            rows.append(
                (
                    -10 * np.log10(max(mse, 1e-12)),
                    float(ssim(result, tile.truth).mean()),
                    _difference(result, tile.truth) / self._slope,
                )
            )
        table: npt.NDArray[np.float64] = np.nan_to_num(np.array(rows, np.float64))
        return table

    def means(self, scores: npt.NDArray[np.float64]) -> dict[str, float]:
        """Name the means over the tiles."""
        return dict(zip(MEASURES, scores.mean(axis=0).tolist(), strict=True))

    def view(self, network: Network) -> TilePreview:
        """Return the tile with the most detail, and what becomes of it."""
        tile = self._shown
        measured = _measured(tile)
        images = (
            measured,
            self._upscaled(tile, self._by_bicubic),
            self._parent_view,
            self._upscaled(tile, network),
            tile.truth,
        )
        return TilePreview(
            *(image[0, 0].float().cpu().numpy().copy() for image in images)
        )

    def _upscaled(self, tile: _Tile, network: Network) -> Tensor:
        """Upscale a tile within its surroundings."""
        rows, columns = (
            slice(self.factor * part.start, self.factor * part.stop)
            for part in (tile.rows, tile.columns)
        )
        with torch.no_grad():
            return network(tile.surroundings).float()[..., rows, columns]


def _tiles(
    pairs: Sequence[ImagePair], split: Split, around: int, device: str
) -> Iterator[_Tile]:
    """Cut the regions that judge into tiles of about one size."""
    for block in split.validation:
        pair = pairs[block.pair]
        height, width = pair.measured.shape
        for top, bottom in _cuts(*block.rows):
            for left, right in _cuts(*block.columns):
                first_row, first_column = max(0, top - around), max(0, left - around)
                wide = pair.measured[
                    first_row : min(height, bottom + around),
                    first_column : min(width, right + around),
                ]
                truth = pair.truth[
                    top * pair.factor : bottom * pair.factor,
                    left * pair.factor : right * pair.factor,
                ]
                yield _Tile(
                    torch.from_numpy(wide.copy())[None, None].to(device),
                    slice(top - first_row, bottom - first_row),
                    slice(left - first_column, right - first_column),
                    torch.from_numpy(truth.copy())[None, None].to(device),
                    pair.psf_sigma,
                )


def _cuts(first: int, last: int) -> list[tuple[int, int]]:
    """Cut a line into parts of about the side of a tile; none if it is too short."""
    if last - first < _LEAST:
        return []
    count = max(1, round((last - first) / _TILE))
    ends = [first + (last - first) * n // count for n in range(count + 1)]
    return list(pairwise(ends))


def _stands_out(tile: _Tile, factor: int) -> bool:
    """Tell whether what a tile shows is stronger than the noise of its measurement.

    An empty one comes out with 50 dB and more, where decibels tell nothing.
    """
    again = ForwardModel(factor, tile.psf_sigma)(tile.truth)
    return 2 * float(again.var()) > float(_measured(tile).var())


def _measured(tile: _Tile) -> Tensor:
    """Return the measured pixels of a tile alone."""
    return tile.surroundings[..., tile.rows, tile.columns]


def _difference(result: Tensor, truth: Tensor) -> float:
    """Return the mean difference of gradients."""
    return float(gradient_difference_map(result, truth).mean())


def _belonging(tile: _Tile, factor: int) -> float:
    """Correlate what was measured with the truth, measured, at structures of a size."""
    again = ForwardModel(factor, tile.psf_sigma)(tile.truth)
    measured = _measured(tile)
    one, other = (
        (smooth(image, _FINE) - smooth(image, _BROAD)).double()
        for image in (again, measured)
    )
    power = (one**2).mean() * (other**2).mean()
    return float((one * other).mean() / power.sqrt()) if power > 0 else float("nan")
