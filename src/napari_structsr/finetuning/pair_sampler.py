"""Training patches of the user's pairs, drawn on the device.

Patches lie whole within the blocks that are trained on: what lies outside is never
read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.pair_optics import find_pair_optics
from napari_structsr.finetuning.region_geometry import Block
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.training.patch_places import (
    PatchPlaces,
    flatten_images,
    index_patches,
    weigh_detail,
)
from napari_structsr.training.patch_sampler import PatchBatch

_STEP = 8  # measured pixels between the places that are weighed
_PATCHES = (48, 32, 24, 16)  # measured pixels
_ENOUGH = 0.8  # of the area must lie in blocks that hold a patch
_LEAST_VARIANCE = 1e-6
_JITTER = (0.03, 0.05)  # of width and noise that are told, as in a training


def choose_patch_side(blocks: Sequence[Block], wish: int) -> int:
    """Return the side of patches that fit into most of the area of the blocks.

    Raises
    ------
    TrainingError
        If not even the smallest patch does.
    """
    whole = sum(block.area for block in blocks)
    # From large to small: large patches see more, small regions hold few of them.
    for side in (wish, *(patch for patch in _PATCHES if patch < wish)):
        held = sum(block.area for block in blocks if min(block.shape) >= side)
        if held and held >= _ENOUGH * whole:
            return side
    largest = max((min(block.shape) for block in blocks), default=0)
    raise TrainingError(
        f"the regions for training are too small: the largest is {largest} measured "
        f"pixels wide, and {_PATCHES[-1]} are needed; draw larger regions, or keep "
        "fewer of them for validation"
    )


class PairSampler:
    """Pairs on one device, from which patches are drawn.

    Parameters
    ----------
    pairs
        All of one factor.
    blocks
        Where patches may lie; those that hold no patch are left out.
    patch
        Measured pixels along the side of a patch.
    device
        Name for torch.
    parent
        Told the optics of each pair if it is conditional.
    """

    def __init__(
        self,
        pairs: Sequence[ImagePair],
        blocks: Sequence[Block],
        *,
        patch: int,
        device: str,
        parent: SRModel | None = None,
    ) -> None:
        self.patch, self.factor = patch, pairs[0].factor
        widths = [pairs[block.pair].psf_sigma for block in blocks]
        width = np.average(widths, weights=[block.area for block in blocks])
        # The loss knows one forward model for a batch, whatever pairs are in it.
        self.forward_model = ForwardModel(self.factor, round(float(width), 4))
        self._measured, starts = flatten_images([p.measured for p in pairs], device)
        self._truth, _ = flatten_images([pair.truth for pair in pairs], device)
        noise = np.array([pair.noise for pair in pairs], np.float32)
        self._noise = torch.from_numpy(noise).to(device)
        told = np.array([find_pair_optics(pair, parent) for pair in pairs])
        self._told = torch.from_numpy(told.astype(np.float32)).to(device)
        rows, weights = [], []
        for block in blocks:
            if min(block.shape) < patch:
                continue
            corners, detail = _find_places(
                block, block.measured(pairs[block.pair]), patch
            )
            # All that a draw needs, in one row: it is gathered by one indexing
            # operation.
            about = (
                block.pair,
                starts[block.pair],
                pairs[block.pair].measured.shape[1],
                block.rows[1] - patch,
                block.columns[1] - patch,
            )
            same = np.broadcast_to(about, (len(corners), len(about)))
            rows.append(np.hstack([same, corners]))
            weights.append(weigh_detail(detail))
        self._places = PatchPlaces(rows, weights, device)

    def draw(self, count: int, generator: torch.Generator) -> PatchBatch:
        """Return `count` patches, turned and mirrored at random."""
        columns, shift, turn = self._places.draw(count, (0, _STEP), generator)
        pair, start, width, last_row, last_column, top, left = columns
        top = (top + shift[0]).minimum(last_row)
        left = (left + shift[1]).minimum(last_column)
        s = self.factor
        coarse = index_patches(self.patch, turn, start, top, left, width)
        # The same turn on the finer grid: both images of a pair stay aligned.
        fine = index_patches(
            self.patch * s, turn, start * s**2, top * s, left * s, width * s
        )
        measured, truth = self._measured[coarse][:, None], self._truth[fine][:, None]
        gain, floor = self._noise[pair].T[..., None, None, None]
        variance = floor + gain * measured.clamp_min(0)
        return PatchBatch(
            measured=measured,
            truth=truth,
            # Noise is divided by: pairs without any would make the data term infinite.
            variance=variance.clamp_min(_LEAST_VARIANCE),
            forward_model=self.forward_model,
            optics=self._tell(pair, generator),
        )

    def _tell(self, pair: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return what a conditional network is told of the pairs of a batch."""
        if not self._told.shape[1]:
            return ()
        told = self._told[pair]
        # The width was fitted and the noise estimated: neither is known exactly.
        random = torch.randn(told.shape, generator=generator, device=told.device)
        return (told * (self._told.new_tensor(_JITTER) * random).exp()).unbind(1)


def _find_places(
    block: Block, measured: npt.NDArray[np.float32], patch: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return corners of patches of a block, shape (n, 2), and their detail."""
    slopes = np.abs(np.diff(measured, axis=0))[:, :-1]
    slopes = slopes + np.abs(np.diff(measured, axis=1))[:-1]
    # Sums over all patches at once, as differences of an integral image.
    total = np.pad(slopes.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))
    tops = np.arange(0, block.shape[0] - patch + 1, _STEP)
    lefts = np.arange(0, block.shape[1] - patch + 1, _STEP)
    far = patch - 1
    detail = (
        total[np.ix_(tops + far, lefts + far)]
        - total[np.ix_(tops, lefts + far)]
        - total[np.ix_(tops + far, lefts)]
        + total[np.ix_(tops, lefts)]
    ).ravel()
    corners = np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1).reshape(-1, 2)
    return corners + np.array([block.rows[0], block.columns[0]]), detail
