"""Sample images: tissue as a microscope with large pixels would have seen it.

They are made from an image that ships in scikit-image (immunohistochemical staining of
colonic glands, CC0), through the forward model that the models were trained to undo.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["colour_sample", "stack_sample"]

_FOCUS = (3.0, 1.5, 0.0, 1.5, 3.0)  # blur of each plane, in fine pixels
_PHOTONS = 4000.0
_READ_NOISE = 0.004

LayerDataTuple = tuple[npt.NDArray[Any], dict[str, Any], str]


def stack_sample() -> list[LayerDataTuple]:
    """Return a calibrated stack of membranes, in and out of focus.

    Pixels are not square: 0.5, 0.13 and 0.11 micrometer along z, y and x.
    """
    from skimage.color import rgb2hed
    from skimage.data import immunohistochemistry

    tissue = immunohistochemistry()
    stain = rgb2hed(tissue)[..., 2]
    low, high = np.percentile(stain, (0.5, 99.9))
    fine = np.clip((stain - low) / (high - low), 0, 1)
    planes = [_measured(fine, blur=blur, seed=n) for n, blur in enumerate(_FOCUS)]
    pixels = np.clip(np.stack(planes) * 4000 + 200, 0, 65535).astype(np.uint16)
    return [
        (
            pixels,
            {
                "name": "cells, under-resolved",
                "scale": (0.5, 0.13, 0.11),
                "units": ("um", "um", "um"),
                "axis_labels": ("z", "y", "x"),
                "contrast_limits": (200, 3800),
                "colormap": "gray",
            },
            "image",
        )
    ]


def colour_sample() -> list[LayerDataTuple]:
    """Return the tissue in colour, with square pixels of 0.5 micrometer."""
    from skimage.data import immunohistochemistry

    fine = immunohistochemistry() / 255
    samples = [_measured(fine[..., n], blur=0, seed=n) for n in range(3)]
    pixels = np.rint(np.clip(np.stack(samples, axis=-1), 0, 1) * 255).astype(np.uint8)
    return [
        (
            pixels,
            {
                "name": "tissue, under-resolved",
                "rgb": True,
                "scale": (0.5, 0.5),
                "units": ("um", "um"),
                "axis_labels": ("y", "x"),
            },
            "image",
        )
    ]


def _measured(
    fine: npt.NDArray[np.float64], *, blur: float, seed: int
) -> npt.NDArray[np.float32]:
    """Return what a camera with half as many pixels sees of an image in 0..1."""
    import torch

    from napari_structsr.imaging.forward import ForwardModel, smooth

    image = torch.from_numpy(fine.astype(np.float32))[None, None]
    if blur:
        image = smooth(image, blur)
    measured = ForwardModel(2, 0.4).measure(
        image,
        photons=_PHOTONS,
        read_noise=_READ_NOISE,
        generator=torch.Generator().manual_seed(seed),
    )
    plane: npt.NDArray[np.float32] = measured[0, 0].numpy()
    return plane
