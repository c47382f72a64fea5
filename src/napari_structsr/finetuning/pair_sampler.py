"""Training patches of the user's pairs, drawn on the device.

As `ImageSampler` does for true images: all pixels lie in flat tensors, and a batch
of patches, each turned and mirrored at random, is gathered by one indexing operation.
Patches lie within the blocks that teach, whole: what lies outside is never read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.split import Block
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.training.patch_sampler import PatchBatch

__all__ = ["PairSampler", "choose_patch_side"]

_STEP = 8  # measured pixels between the places that are weighed
_RICHEST = 4.0  # detail beyond this multiple of the mean weighs no more
_PATCHES = (48, 32, 24, 16)  # measured pixels
_ENOUGH = 0.8  # of the area must lie in blocks that hold a patch
_LEAST_VARIANCE = 1e-6


def choose_patch_side(blocks: Sequence[Block], wish: int) -> int:
    """Return the side of patches that fit into most of the area of the blocks.

    Raises
    ------
    TrainingError
        If not even the smallest patch does.
    """
    areas = [block.shape[0] * block.shape[1] for block in blocks]
    for side in (wish, *(patch for patch in _PATCHES if patch < wish)):
        held = sum(
            area
            for block, area in zip(blocks, areas, strict=True)
            if min(block.shape) >= side
        )
        if held and held >= _ENOUGH * sum(areas):
            return side
    largest = max((min(block.shape) for block in blocks), default=0)
    raise TrainingError(
        f"the regions that teach are too small: the largest is {largest} measured "
        f"pixels wide, and {_PATCHES[-1]} are needed; draw larger regions, or let "
        "fewer of them judge"
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
    """

    def __init__(
        self,
        pairs: Sequence[ImagePair],
        blocks: Sequence[Block],
        *,
        patch: int,
        device: str,
    ) -> None:
        self.patch, self.device = patch, device
        self.factor = pairs[0].factor
        self.forward_model = ForwardModel(self.factor, _mean_width(pairs, blocks))
        self._measured = _flat([pair.measured for pair in pairs], device)
        self._truth = _flat([pair.truth for pair in pairs], device)
        noise = np.array([pair.noise for pair in pairs], np.float32)
        self._noise = torch.from_numpy(noise).to(device)
        starts = np.cumsum([0, *(pair.measured.size for pair in pairs)])
        rows, chances = [], []
        for block in blocks:
            if min(block.shape) < patch:
                continue
            corners, richness = _places(block, block.measured(pairs[block.pair]), patch)
            about = (
                block.pair,
                starts[block.pair],
                pairs[block.pair].measured.shape[1],
                block.rows[1] - patch,
                block.columns[1] - patch,
            )
            same = np.broadcast_to(about, (len(corners), len(about)))
            rows.append(np.hstack([same, corners]))
            chances.append(richness)
        chance = np.cumsum(np.concatenate(chances))
        self._chance = torch.from_numpy(chance / chance[-1]).float().to(device)
        self._places = torch.from_numpy(np.concatenate(rows)).to(device)

    def draw(self, count: int, generator: torch.Generator) -> PatchBatch:
        """Return `count` patches, turned and mirrored at random."""

        def random(high: int, *shape: int) -> Tensor:
            return torch.randint(
                0, high, shape, generator=generator, device=self.device
            )

        chance = torch.rand(count, generator=generator, device=self.device)
        place = torch.searchsorted(self._chance, chance)
        place = place.clamp_max(len(self._chance) - 1)
        pair, start, width, last_row, last_column, top, left = self._places[
            place
        ].unbind(1)
        jitter = random(_STEP, 2, count)
        top = (top + jitter[0]).minimum(last_row)
        left = (left + jitter[1]).minimum(last_column)
        turn = random(2, 3, count, 1, 1) == 1
        s = self.factor
        inside = self._index(self.patch, turn, top, left, width)
        fine = self._index(self.patch * s, turn, top * s, left * s, width * s)
        measured = self._measured[start[:, None, None] + inside][:, None]
        truth = self._truth[start[:, None, None] * s**2 + fine][:, None]
        gain, floor = self._noise[pair].T[..., None, None, None]
        variance = floor + gain * measured.clamp_min(0)
        return PatchBatch(
            measured=measured,
            truth=truth,
            variance=variance.clamp_min(_LEAST_VARIANCE),
            forward_model=self.forward_model,
        )

    def _index(
        self, size: int, turn: Tensor, top: Tensor, left: Tensor, width: Tensor
    ) -> Tensor:
        """Return places within the image of a pair, shape (count, size, size)."""
        line = torch.arange(size, device=self.device)
        down, right = line[None, :, None], line[None, None, :]
        down = torch.where(turn[0], size - 1 - down, down)
        right = torch.where(turn[1], size - 1 - right, right)
        down, right = (
            torch.where(turn[2], right, down),
            torch.where(turn[2], down, right),
        )
        rows = top[:, None, None] + down
        return rows * width[:, None, None] + left[:, None, None] + right


def _flat(images: list[npt.NDArray[np.float32]], device: str) -> Tensor:
    """Return the pixels of all images, one after the other."""
    return torch.from_numpy(np.concatenate([image.ravel() for image in images])).to(
        device
    )


def _mean_width(pairs: Sequence[ImagePair], blocks: Sequence[Block]) -> float:
    """Return the mean point-spread width, by the area that teaches."""
    areas = [block.shape[0] * block.shape[1] for block in blocks]
    widths = [pairs[block.pair].psf_sigma for block in blocks]
    return round(float(np.average(widths, weights=areas)), 4)


def _places(
    block: Block, measured: npt.NDArray[np.float32], patch: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return corners of patches of a block, shape (n, 2), and how often to draw them.

    Places with detail come more often, since most of a microscope's image is dark.
    """
    slopes = np.abs(np.diff(measured, axis=0))[:, :-1]
    slopes = slopes + np.abs(np.diff(measured, axis=1))[:-1]
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
    richness = 0.5 + np.minimum(detail / max(detail.mean(), 1e-9), _RICHEST)
    return corners + np.array([block.rows[0], block.columns[0]]), richness
