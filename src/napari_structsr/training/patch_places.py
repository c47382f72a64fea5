"""Where training patches are drawn from: places, their weights, and turned patches.

Pixels of all images lie in flat tensors on the device. A batch is drawn by one lookup
of places, and gathered by one indexing operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_RICHEST = 4.0  # detail beyond this multiple of the mean weighs no more


class PatchPlaces:
    """Places that patches are drawn from, on the device.

    Parameters
    ----------
    places
        Arrays of shape (n, columns), integers: what the caller has to know of a place.
    weights
        Arrays of shape (n,): how often each is drawn.
    device
        Name for torch.
    """

    def __init__(
        self,
        places: list[npt.NDArray[np.int64]],
        weights: list[npt.NDArray[np.float64]],
        device: str,
    ) -> None:
        self.device = device
        self._places = torch.from_numpy(np.concatenate(places)).to(device)
        chance = np.cumsum(np.concatenate(weights))
        self._chance = torch.from_numpy(chance / chance[-1]).float().to(device)

    def draw(
        self, count: int, jitter: tuple[int, int], generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Draw places, shifts within a range, and whether to mirror and transpose.

        Returns
        -------
        tuple of Tensor
            The columns of the places, each of shape (count,).
        Tensor
            Shifts along y and x, shape (2, count).
        Tensor
            Whether to flip y, to flip x, and to exchange them, shape (3, count, 1, 1).
        """

        def randint(low: int, high: int, *shape: int) -> Tensor:
            return torch.randint(
                low, high, shape, generator=generator, device=self.device
            )

        # The order of draws is part of a seeded result: places, shifts, turns.
        chance = torch.rand(count, generator=generator, device=self.device)
        place = torch.searchsorted(self._chance, chance)
        place = place.clamp_max(len(self._chance) - 1)
        shift = randint(*jitter, 2, count)
        turn = randint(0, 2, 3, count, 1, 1) == 1
        return self._places[place].unbind(1), shift, turn


def flatten_images(
    images: Sequence[npt.NDArray[Any]], device: str
) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Return the pixels of all images, one after the other, and where each begins."""
    flat = torch.from_numpy(np.concatenate([image.ravel() for image in images]))
    return flat.to(device), np.cumsum([0, *(image.size for image in images[:-1])])


def index_patches(
    size: int, turn: Tensor, start: Tensor, top: Tensor, left: Tensor, width: Tensor
) -> Tensor:
    """Return where the pixels of turned patches lie in a flat tensor of images.

    Parameters
    ----------
    size
        Pixels along the side of a patch.
    turn
        As `PatchPlaces.draw` gives it.
    start, top, left, width
        First pixel of each image in the flat tensor, corner of the patch in it, and
        width of the image; each of shape (count,).

    Returns
    -------
    Tensor
        Shape (count, size, size), int64.
    """
    line = torch.arange(size, device=turn.device)
    down, right = line[None, :, None], line[None, None, :]
    down = torch.where(turn[0], size - 1 - down, down)
    right = torch.where(turn[1], size - 1 - right, right)
    down, right = (
        torch.where(turn[2], right, down),
        torch.where(turn[2], down, right),
    )
    corner = (start + top * width + left)[:, None, None]
    return corner + down * width[:, None, None] + right


def weigh_detail(detail: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how often places are drawn, by their detail.

    Most of a microscope's image is dark: places with detail come up to nine times as
    often as those without.
    """
    relative = detail / max(float(detail.mean()), 1e-9)
    weights: npt.NDArray[np.float64] = 0.5 + np.minimum(relative, _RICHEST)
    return weights
