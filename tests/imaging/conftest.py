import pytest
import torch


@pytest.fixture
def tiled():
    """Compute a map tile by tile, as for images that do not fit into memory."""

    def compute(function, *images, radius, tile=(48, 40), pass_origin=False):
        """Read `radius` more around each tile, cut at the border of the image."""
        height, width = images[0].shape[-2:]
        whole = torch.full_like(images[0], torch.nan)
        for top in range(0, height, tile[0]):
            for left in range(0, width, tile[1]):
                first = max(top - radius, 0), max(left - radius, 0)
                read = (
                    ...,
                    slice(first[0], top + tile[0] + radius),
                    slice(first[1], left + tile[1] + radius),
                )
                extra = {"origin": first} if pass_origin else {}
                part = function(*(image[read] for image in images), **extra)
                kept = whole[..., top : top + tile[0], left : left + tile[1]]
                up, start = top - first[0], left - first[1]
                kept[:] = part[
                    ..., up : up + kept.shape[-2], start : start + kept.shape[-1]
                ]
        return whole

    return compute
