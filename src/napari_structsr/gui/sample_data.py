"""Sample images: tissue as a microscope with large pixels would have seen it.

They are made from an image that ships in scikit-image (immunohistochemical staining of
colonic glands, CC0), through the forward model that the models were trained to undo.
The pair for fine-tuning is made through another one: its blur is wider, as of a
microscope that the models do not know.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_FOCUS = (3.0, 1.5, 0.0, 1.5, 3.0)  # blur of each plane, in fine pixels
_PHOTONS = 4000.0
_READ_NOISE = 0.004
_WIDE = 1.0  # sigma of the unknown microscope, in its pixels
_OTHER_PHOTONS = 3000.0
_OFF = (1.3, -0.8)  # fine pixels that the stage was off between the two images
_PIXEL = 0.2  # micrometers

LayerDataTuple = tuple[npt.NDArray[Any], dict[str, Any], str]


def stack_sample() -> list[LayerDataTuple]:
    """Return a calibrated stack of membranes, in and out of focus.

    Pixels are not square: 0.5, 0.13 and 0.11 micrometer along z, y and x.
    """
    fine = _unmix_membranes()
    planes = [_measure(fine, blur=blur, seed=n) for n, blur in enumerate(_FOCUS)]
    # counts of a 16-bit camera above an offset, as microscopes store them
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
    samples = [_measure(fine[..., n], blur=0, seed=n) for n in range(3)]
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


def pair_sample() -> list[LayerDataTuple]:
    """Return the same membranes twice: with a microscope of wide blur, and sharp.

    Pixels are 0.2 and 0.1 micrometer. The stage has moved a little between the two, and
    they differ in gain and offset, as measured pairs do.
    """
    from scipy import ndimage

    fine = _unmix_membranes()
    # the shift, gain and offset are what registration has to find
    coarse = _measure(fine, blur=0, seed=7, psf_sigma=_WIDE, photons=_OTHER_PHOTONS)
    moved = ndimage.shift(fine, _OFF, order=3, mode="reflect")
    layers = (
        ("low resolution", coarse * 1500 + 400, _PIXEL),
        ("high resolution", moved * 9000 + 150, _PIXEL / 2),
    )
    return [
        (
            np.clip(pixels, 0, 65535).astype(np.uint16),
            {
                "name": name,
                "scale": (size, size),
                # outer edges lie in one place
                "translate": ((size - _PIXEL) / 2, (size - _PIXEL) / 2),
                "units": ("um", "um"),
                "axis_labels": ("y", "x"),
                "colormap": "gray",
            },
            "image",
        )
        for name, pixels, size in layers
    ]


def _unmix_membranes() -> npt.NDArray[np.float64]:
    """Return the brown stain of the tissue, in 0..1."""
    from skimage.color import rgb2hed
    from skimage.data import immunohistochemistry

    stain = rgb2hed(immunohistochemistry())[..., 2]
    # a few pixels of debris are far brighter than any membrane
    low, high = np.percentile(stain, (0.5, 99.9))
    fine: npt.NDArray[np.float64] = np.clip((stain - low) / (high - low), 0, 1)
    return fine


def _measure(
    fine: npt.NDArray[np.float64],
    *,
    blur: float,
    seed: int,
    psf_sigma: float = 0.4,
    photons: float = _PHOTONS,
) -> npt.NDArray[np.float32]:
    """Return what a camera with half as many pixels sees of an image in 0..1."""
    # napari reads this module for its menu, long before a sample is opened
    import torch

    from napari_structsr.imaging.filters import smooth
    from napari_structsr.imaging.forward import ForwardModel

    image = torch.from_numpy(fine.astype(np.float32))[None, None]
    if blur:
        image = smooth(image, blur)
    measured = ForwardModel(2, psf_sigma).measure(
        image,
        photons=photons,
        read_noise=_READ_NOISE,
        generator=torch.Generator().manual_seed(seed),
    )
    plane: npt.NDArray[np.float32] = measured[0, 0].numpy()
    return plane
