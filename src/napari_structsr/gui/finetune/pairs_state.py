"""From what pairs the user wants to what the first step shows: no Qt, no napari.

`resolve_pairs` says what can be done with a `PairsChoice` and, in words, why a button
cannot work. What a pair is worth is decided by the engine; here is only what can be
seen without reading a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_structsr.core.optics import widefield_sigma
from napari_structsr.errors import TrainingError
from napari_structsr.gui.finetune.pairs_choice import PairsChoice, PairsState, TuneImage
from napari_structsr.pairs.geometry import (
    find_step_reason,
    measure_pixel_step,
    nearest_factor,
)

__all__ = ["resolve_pairs"]

_WIDEST = 2.0  # measured pixels
_SAME = 1.02  # ratio of pixel sizes that is taken for none


def resolve_pairs(
    choice: PairsChoice,
    images: Sequence[TuneImage],
    *,
    regions: Mapping[str, int],
    there: int | None = None,
    parent: int | None = None,
    left_out: Sequence[tuple[str, str]] = (),
    busy: bool = False,
) -> PairsState:
    """Decide what the first step shows.

    Parameters
    ----------
    choice
        What the form says.
    images
        All image layers.
    regions
        Number of regions in each Shapes layer that can hold some.
    there
        Factor of the pairs that there are; None if there are none.
    parent
        Factor of the model that is going to be taught.
    left_out
        Names of image layers that cannot be part of a pair, and why.
    busy
        Whether pairs are being made.
    """
    by_key = {image.key: image for image in images}
    choice = replace(
        choice,
        low=_known(choice.low, by_key),
        high=_known(choice.high, by_key),
        sample=_known(choice.sample, by_key),
        regions=_known(choice.regions, regions),
    )
    high = by_key.get(choice.high or "")
    step = _step(by_key.get(choice.low or ""), high) if choice.kind == "layers" else 0.0
    factor = choice.factor or there
    if not factor and choice.kind == "high":
        factor = parent or 2
    elif not factor and step:
        factor = nearest_factor(step)
    sigma = _sigma(choice, high, factor) if choice.kind == "high" and factor else None
    fault = _fault(choice, by_key, sigma)
    if fault and left_out and choice.kind != "files" and len(images) < 2:
        named = [f"{name} is not offered: {why}." for name, why in left_out]
        fault = " ".join([fault, *named])
    if fault is None and step and factor:
        fault = _in_words(find_step_reason(step, factor))
    if fault is None and there and factor != there:
        fault = (
            f"The pairs in the list are ×{there}, and one model learns one factor: "
            f"choose ×{there}, or remove them first."
        )
    drawn = choice.kind != "files" and choice.regions is not None
    if fault is None and drawn and not regions[choice.regions or ""]:
        fault = "There are no regions yet: draw rectangles, or choose the whole plane."
    target = choice.high if choice.kind == "high" else choice.low
    draw = None
    if choice.kind == "files":
        draw = "Regions are drawn on layers; whole files are taken."
    elif target is None:
        draw = "Choose the layers first."
    both = choice.low is not None and choice.high is not None
    return PairsState(
        choice=choice,
        factor=factor,
        hint=_hint(choice, sigma, factor, step),
        sigma=sigma,
        add=fault or ("Pairs are being made: wait, or cancel it." if busy else None),
        draw=draw,
        swap=None if both else "Choose both layers first.",
    )


def _fault(
    choice: PairsChoice, images: Mapping[str, TuneImage], sigma: float | None
) -> str | None:
    """Say why no pair can be made of what is chosen."""
    if choice.kind == "files":
        return _file_fault(choice)
    if not images:
        return "There is no image layer: open a low- and a high-resolution image."
    high = images.get(choice.high or "")
    if choice.kind == "high":
        if high is None:
            return "Choose the high-resolution layer."
        if sigma is None:
            return (
                f"The pixel size of {high.name} is not known: give the width of the "
                "point-spread function in pixels."
            )
        if sigma > _WIDEST:
            return (
                f"The point-spread function would be {sigma:.1f} measured pixels wide, "
                f"at most {_WIDEST:g} can be undone: check NA, wavelength and pixel "
                "size."
            )
        return None
    low = images.get(choice.low or "")
    if low is None:
        return "Choose the low-resolution layer."
    if high is None:
        return "Choose the high-resolution layer: the same place with finer pixels."
    return _mismatch(low, high)


def _mismatch(low: TuneImage, high: TuneImage) -> str | None:
    """Say why two layers cannot be a pair."""
    if low.key == high.key:
        return (
            f"Both are {low.name}: choose the low- and the high-resolution image of "
            "the same place."
        )
    if low.rgb != high.rgb:
        colour, grey = (low, high) if low.rgb else (high, low)
        return (
            f"{colour.name} is in colour and {grey.name} is not: split the colour "
            "image into channels, and choose the one that belongs to the other."
        )
    if low.planes != high.planes:
        return (
            f"{low.name} has {_planes(low.planes)}, {high.name} has "
            f"{_planes(high.planes)}: choose images of the same planes, or duplicate "
            "the plane that both show."
        )
    coarse, fine = low.coarseness, high.coarseness
    if low.unit == high.unit and fine > coarse * _SAME:
        return (
            f"{low.name} has the finer pixels, so it is the high-resolution image: "
            "swap the two with ⇅."
        )
    return None


def _file_fault(choice: PairsChoice) -> str | None:
    """Say what is wrong with two paths."""
    for text, what in ((choice.low_path, "low"), (choice.high_path, "high")):
        if not text.strip():
            return f"Choose the {what}-resolution file or folder."
        if not Path(text).exists():
            return f"{text} does not exist."
    low, high = Path(choice.low_path), Path(choice.high_path)
    if low == high:
        return "Both paths are the same: choose the low- and the high-resolution one."
    return None


def _hint(
    choice: PairsChoice, sigma: float | None, factor: int | None, step: float
) -> str:
    """Say what the choice means where it is not plain."""
    if choice.kind == "high" and sigma is not None:
        noise = (
            "noise as in the sample layer"
            if choice.sample
            else "little noise, since no sample is chosen"
        )
        return (
            f"Partners are blurred with a sigma of {sigma:.2f} measured pixels, "
            f"binned ×{factor}, with {noise}."
        )
    if choice.kind == "files":
        return "OME-TIFF, TIFF and OME-Zarr; pixel sizes are read from the files."
    if not step or find_step_reason(step, factor or 2):
        return ""
    same = math.isclose(step, factor or 0, rel_tol=1e-3)
    return (
        f"One low-resolution pixel is as wide as {step:.3g} high-resolution ones"
        f"{', resampled' * (not same)}: pairs for a ×{factor} model."
    )


def _step(low: TuneImage | None, high: TuneImage | None) -> float:
    """Return the ratio of two pixel sizes; 0 where it is not known."""
    if low is None or high is None or low.key == high.key:
        return 0.0
    try:
        return measure_pixel_step(low.axes, high.axes)
    except TrainingError:
        return 0.0  # said when the pair is made, with all that is known of the images


def _in_words(fault: str | None) -> str | None:
    """Make a sentence of a fault."""
    return fault and f"{fault[0].upper()}{fault[1:]}."


def _sigma(choice: PairsChoice, high: TuneImage | None, factor: int) -> float | None:
    """Return the width of the point-spread function in measured pixels."""
    if choice.psf == "given":
        return choice.sigma
    size = None if high is None else high.micrometers
    if not size:
        return None
    return widefield_sigma(
        wavelength=choice.wavelength * 1e-3,
        aperture=choice.aperture,
        pixel_size=size * factor,
    )


def _planes(count: int) -> str:
    """Count planes in words."""
    return "a single plane" if count == 1 else f"{count} planes"


def _known(key: str | None, there: Collection[str]) -> str | None:
    """Drop what is no longer there."""
    return key if key in there else None
