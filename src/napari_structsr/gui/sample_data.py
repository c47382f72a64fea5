"""Sample images: tissue as a microscope with large pixels would have seen it.

They are made from an image that ships in scikit-image (immunohistochemical staining of
colonic glands, CC0), through the forward model that the models were trained to undo.
The pair for fine-tuning is made through another one: its blur is wider, as of a
microscope that the models do not know. Making them imports torch, which would hold up
the menu: they are shown dark at first, and filled in from the background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari import current_viewer
from qtpy.QtCore import QTimer

from napari_structsr.engine.events import Cancel, Event, Finished
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.io.layer_file import MAKING

_FOCUS = (3.0, 1.5, 0.0, 1.5, 3.0)  # blur of each plane, in fine pixels
_PHOTONS = 4000.0
_READ_NOISE = 0.004
_WIDE = 1.0  # sigma of the unknown microscope, in its pixels
_OTHER_PHOTONS = 3000.0
_OFF = (1.3, -0.8)  # fine pixels that the stage was off between the two images
_PIXEL = 0.2  # micrometers

LayerDataTuple = tuple[npt.NDArray[Any], dict[str, Any], str]
_Kind = tuple[tuple[int, ...], type]

_STACK: list[dict[str, Any]] = [
    {
        "name": "cells, under-resolved",
        "scale": (0.5, 0.13, 0.11),
        "units": ("um", "um", "um"),
        "axis_labels": ("z", "y", "x"),
        "contrast_limits": (200, 3800),
        "colormap": "gray",
    }
]
_COLOUR: list[dict[str, Any]] = [
    {
        "name": "tissue, under-resolved",
        "rgb": True,
        "scale": (0.5, 0.5),
        "units": ("um", "um"),
        "axis_labels": ("y", "x"),
    }
]
_PAIR: list[dict[str, Any]] = [
    {
        "name": name,
        "scale": (size, size),
        # outer edges lie in one place
        "translate": ((size - _PIXEL) / 2, (size - _PIXEL) / 2),
        "units": ("um", "um"),
        "axis_labels": ("y", "x"),
        "colormap": "gray",
    }
    for name, size in (("low resolution", _PIXEL), ("high resolution", _PIXEL / 2))
]


def open_stack_sample() -> list[LayerDataTuple]:
    """Show `stack_sample`, dark until it is made."""
    return _open_later(stack_sample, _STACK, [((5, 256, 256), np.uint16)])


def open_colour_sample() -> list[LayerDataTuple]:
    """Show `colour_sample`, dark until it is made."""
    return _open_later(colour_sample, _COLOUR, [((256, 256, 3), np.uint8)])


def open_pair_sample() -> list[LayerDataTuple]:
    """Show `pair_sample`, dark until it is made."""
    sizes: list[_Kind] = [((n, n), np.uint16) for n in (256, 512)]
    return _open_later(pair_sample, _PAIR, sizes)


def _open_later(
    make: Callable[[], list[LayerDataTuple]],
    looks: Sequence[dict[str, Any]],
    kinds: Sequence[_Kind],
) -> list[LayerDataTuple]:
    viewer = current_viewer()
    if viewer is None:
        # asked for by a script, which has no window to keep alive
        return make()
    # one for each opening: a sample may be opened twice
    marks = [object() for _ in looks]

    def run(cancel: Cancel) -> Iterator[Event]:
        yield Finished(make())

    def fill(event: Finished) -> None:
        for (pixels, _, _), mark in zip(event.output, marks, strict=True):
            for layer in viewer.layers:
                if layer.metadata.get(MAKING) is mark:
                    _fill(layer, pixels)
        # docks look again at what they may work on
        viewer.layers.selection.events.changed(added=(), removed=())

    job = Job("Making the sample", run)
    job.finished.connect(fill)
    # once napari has shown the layers: an import beside that would hold it up
    QTimer.singleShot(0, job.start)
    return [
        (np.zeros(shape, dtype), {**look, "metadata": {MAKING: mark}}, "image")
        for look, mark, (shape, dtype) in zip(looks, marks, kinds, strict=True)
    ]


def _fill(layer: Any, pixels: npt.NDArray[Any]) -> None:
    del layer.metadata[MAKING]
    layer.data = pixels
    # what was shown of a dark image says nothing
    if not layer.rgb and layer.contrast_limits[1] <= 1:
        layer.reset_contrast_limits()


def stack_sample() -> list[LayerDataTuple]:
    """Return a calibrated stack of membranes, in and out of focus.

    Pixels are not square: 0.5, 0.13 and 0.11 micrometer along z, y and x.
    """
    fine = _unmix_membranes()
    planes = [_measure(fine, blur=blur, seed=n) for n, blur in enumerate(_FOCUS)]
    # counts of a 16-bit camera above an offset, as microscopes store them
    pixels = np.clip(np.stack(planes) * 4000 + 200, 0, 65535).astype(np.uint16)
    return [(pixels, dict(_STACK[0]), "image")]


def colour_sample() -> list[LayerDataTuple]:
    """Return the tissue in colour, with square pixels of 0.5 micrometer."""
    from skimage.data import immunohistochemistry

    fine = immunohistochemistry() / 255
    samples = [_measure(fine[..., n], blur=0, seed=n) for n in range(3)]
    pixels = np.rint(np.clip(np.stack(samples, axis=-1), 0, 1) * 255).astype(np.uint8)
    return [(pixels, dict(_COLOUR[0]), "image")]


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
    counts = coarse * 1500 + 400, moved * 9000 + 150
    return [
        (np.clip(pixels, 0, 65535).astype(np.uint16), dict(look), "image")
        for pixels, look in zip(counts, _PAIR, strict=True)
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
