"""The images that a comparison takes when none are given; no download is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari_structsr.core.types import Array
from napari_structsr.io.formats.image_folders import ImageFile


def list_built_in_images(*, limit: int | None = None) -> list[ImageFile]:
    """List images of scikit-image and drawn ones, which need no download.

    Parameters
    ----------
    limit
        Images of each source; None means all.
    """
    from skimage import data

    from napari_structsr.benchmark.demo import load_tissue_stack
    from napari_structsr.benchmark.phantoms import (
        draw_filaments,
        draw_grains,
        draw_nuclei,
    )

    def retina() -> Array:
        # the green channel, around the optic disc
        image: Array = data.retina()[450:962, 850:1362, 1]
        return image

    # read when they are asked for: a list must not open images
    sources: dict[str, dict[str, Callable[[], Array]]] = {
        "drawn filaments": _draw_twice(draw_filaments),
        "drawn grains": _draw_twice(draw_grains),
        "drawn nuclei": _draw_twice(draw_nuclei),
        "floating cell": {"cell": data.cell},
        "retina": {"retina": retina},
        "tissue": {
            "haematoxylin": lambda: load_tissue_stack()[0][0],
            "DAB": lambda: load_tissue_stack()[0][1],
        },
    }
    return [
        ImageFile(source, name, read)
        for source, images in sources.items()
        for name, read in list(images.items())[:limit]
    ]


def _draw_twice(draw: Callable[..., Array]) -> dict[str, Callable[[], Array]]:
    return {f"seed {seed}": partial(draw, seed=seed) for seed in (0, 1)}
