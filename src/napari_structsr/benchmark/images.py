"""The images that a comparison takes when none are given; no download is needed."""

from __future__ import annotations

from collections.abc import Callable

from napari_structsr.core.types import Array
from napari_structsr.io.image_folders import ImageFile

__all__ = ["built_in_images"]


def built_in_images(*, limit: int | None = None) -> list[ImageFile]:
    """List images of scikit-image and drawn ones, which need no download.

    Parameters
    ----------
    limit
        Images of each source; None means all.
    """
    from skimage import data

    from napari_structsr.benchmark.demo import tissue_stack
    from napari_structsr.benchmark.phantoms import filaments, grains, nuclei

    def retina() -> Array:
        """Return the green channel around the optic disc."""
        image: Array = data.retina()[450:962, 850:1362, 1]
        return image

    sources: dict[str, dict[str, Callable[[], Array]]] = {
        "drawn filaments": _seeded(filaments),
        "drawn grains": _seeded(grains),
        "drawn nuclei": _seeded(nuclei),
        "floating cell": {"cell": data.cell},
        "retina": {"retina": retina},
        "tissue": {
            "haematoxylin": lambda: tissue_stack()[0][0],
            "DAB": lambda: tissue_stack()[0][1],
        },
    }
    return [
        ImageFile(source, name, read)
        for source, images in sources.items()
        for name, read in list(images.items())[:limit]
    ]


def _seeded(draw: Callable[..., Array]) -> dict[str, Callable[[], Array]]:
    """Draw two images."""
    return {
        "seed 0": lambda: draw(seed=0),
        "seed 1": lambda: draw(seed=1),
    }
