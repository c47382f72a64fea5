"""Padding at the bottom and the right, for networks that want certain sizes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["mirrored", "padding_to"]


def padding_to(size: int, *, multiple: int, minimum: int = 1) -> int:
    """Return the pixels that are missing to a multiple, and to a minimum."""
    wanted = max(size, minimum)
    return -(-wanted // multiple) * multiple - size


def mirrored(image: Tensor, bottom: int, right: int) -> Tensor:
    """Continue (N, C, h, w) by its mirror image about the last pixels.

    The top and the left stay, so that pixels keep their place relative to windows.
    More than the image holds is mirrored again; a single line is repeated.
    """
    while bottom > 0 or right > 0:
        height, width = image.shape[-2:]
        down = min(bottom, max(height - 1, 0))
        across = min(right, max(width - 1, 0))
        if down or across:
            image = F.pad(image, (0, across, 0, down), mode="reflect")
        if height == 1 and bottom:
            down = bottom
            image = image.expand(-1, -1, 1 + down, -1)
        if width == 1 and right:
            across = right
            image = image.expand(-1, -1, -1, 1 + across)
        bottom, right = bottom - down, right - across
    return image
