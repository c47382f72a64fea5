"""From what pairs the user wants to what the first step shows: no Qt, no napari.

Here is what can be seen without reading a pixel; what a pair is worth is decided by
the engine. Layers are named by keys that outlive a new name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from napari_structsr.core.optics import compute_widefield_sigma
from napari_structsr.errors import TrainingError
from napari_structsr.gui.finetune.pairs_entry import PairImage, find_mismatch
from napari_structsr.pairs.geometry import (
    find_step_reason,
    measure_pixel_step,
    nearest_factor,
)

Kind = Literal["layers", "files", "high"]

_WIDEST = 2.0  # measured pixels; a wider blur leaves too little to learn from


@dataclass(frozen=True)
class PairsChoice:
    """What the next pairs are made of.

    Parameters
    ----------
    kind
        Two layers, files, or high resolution alone.
    low, high
        Keys of image layers.
    regions
        Key of a Shapes layer; None for whole planes.
    low_path, high_path
        Files or folders.
    factor
        How much finer the pixels of the truth are; 0 decides by the pairs that there
        are and by pixel sizes.
    binned
        Whether the low-resolution image is binned by 2 first.
    psf
        Whether the width comes from the optics or is given.
    aperture, wavelength
        Numerical aperture of the low-resolution objective, and nanometers emitted.
    sigma
        Width in measured pixels, where it is given.
    sample
        Key of a low-quality layer whose noise is taken.
    """

    kind: Kind = "layers"
    low: str | None = None
    high: str | None = None
    regions: str | None = None
    low_path: str = ""
    high_path: str = ""
    factor: int = 0
    binned: bool = False
    psf: Literal["optics", "given"] = "optics"
    aperture: float = 0.5
    wavelength: float = 520.0
    sigma: float = 0.5
    sample: str | None = None


@dataclass(frozen=True)
class PairsState:
    """What the first step shows.

    Parameters
    ----------
    choice
        The wish, as far as it can be granted.
    factor
        Of the pairs to be; None where it is found when the images are opened.
    hint
        A sentence below the form, or "".
    sigma
        Width of the point-spread function in measured pixels, for high resolution
        alone; None where it is not known.
    add, draw, swap
        Why the button cannot work; None if it can.
    bins
        Pixels of the low-resolution image that are averaged along a side.
    shows_bins
        Whether binning is offered: it makes something of pixels of one size.
    """

    choice: PairsChoice
    factor: int | None
    hint: str
    sigma: float | None
    add: str | None
    draw: str | None
    swap: str | None
    bins: int = 1
    shows_bins: bool = False


def suggest_pair(
    images: Sequence[PairImage],
    selected: Sequence[str],
    *,
    choice: PairsChoice,
) -> PairsChoice:
    """Fill in the layers from the selection: larger pixels are the low resolution.

    `selected` holds keys of some of the images, the one clicked last at the end.
    """
    by_key = {image.key: image for image in images}
    found = [by_key[key] for key in selected if key in by_key]
    if len(found) < 2 and len(images) == 2:
        found = list(images)
    if choice.kind == "high":
        return replace(choice, high=found[-1].key) if found else choice
    if len(found) < 2:
        return choice
    pair = found[-2:]
    if len({one.micrometers is None for one in pair}) > 1:
        # micrometers and pixels do not compare, so that the number of pixels decides
        low, high = sorted(pair, key=lambda one: one.plane[0] * one.plane[1])
    else:
        low, high = sorted(pair, key=lambda one: one.coarseness, reverse=True)
    return replace(choice, low=low.key, high=high.key)


def resolve_pairs(
    choice: PairsChoice,
    images: Sequence[PairImage],
    *,
    regions: Mapping[str, int],
    there: int | None = None,
    parent: int | None = None,
    unusable: Sequence[tuple[str, str]] = (),
    busy: bool = False,
) -> PairsState:
    """Decide what the first step shows.

    Parameters
    ----------
    choice, images
        What the form says, and all image layers.
    regions
        Number of regions in each Shapes layer that can hold some.
    there, parent
        Factors of the pairs that there are, and of the model to begin with.
    unusable
        Names of image layers that cannot be part of a pair, and why.
    busy
        Whether pairs are being made.
    """
    by_key = {image.key: image for image in images}
    low, high = (by_key.get(key or "") for key in (choice.low, choice.high))
    # layers may have been removed since they were chosen
    choice = replace(
        choice,
        low=low.key if low else None,
        high=high.key if high else None,
        sample=choice.sample if choice.sample in by_key else None,
        regions=choice.regions if choice.regions in regions else None,
    )
    step = _measure_step(low, high) if choice.kind == "layers" else 0.0
    # of files nothing is known before they are opened
    shows_bins = choice.kind == "files" or (
        step > 0 and nearest_factor(step) == 1 and not find_step_reason(step, 1)
    )
    bins = 2 if choice.binned and shows_bins else 1
    step *= bins
    # one model has one factor: that of the pairs there are goes before any guess
    factor = choice.factor or there
    if not factor and choice.kind == "high":
        factor = parent or 2
    elif not factor and step:
        factor = nearest_factor(step)
    sigma = _find_sigma(choice, high, factor)
    # in the order in which a user comes to these things
    obstacle = _find_obstacle(choice, by_key, sigma)
    # who sees an image in the layer list asks why it is not offered
    if obstacle and unusable and choice.kind != "files" and len(images) < 2:
        named = [f"{name} is not offered: {why}." for name, why in unusable]
        obstacle = " ".join([obstacle, *named])
    if (
        obstacle is None
        and step
        and factor
        and (reason := find_step_reason(step, factor))
    ):
        obstacle = f"{reason[0].upper()}{reason[1:]}."
    if obstacle is None and there and factor != there:
        obstacle = (
            f"The pairs in the list are ×{there}, and one model learns one factor: "
            f"choose ×{there}, or remove them first."
        )
    drawn = choice.kind != "files" and choice.regions is not None
    if obstacle is None and drawn and not regions[choice.regions or ""]:
        obstacle = (
            "There are no regions yet: draw rectangles, or choose the whole plane."
        )
    draw = None
    if choice.kind == "files":
        draw = "Regions are drawn on layers; whole files are taken."
    elif (high if choice.kind == "high" else low) is None:
        draw = "Choose the layers first."
    return PairsState(
        choice=choice,
        factor=factor,
        hint=_describe_choice(choice, sigma, factor, step),
        bins=bins,
        shows_bins=shows_bins,
        sigma=sigma,
        add=obstacle or ("Pairs are being made: wait, or cancel it." if busy else None),
        draw=draw,
        swap=None if low and high else "Choose both layers first.",
    )


def _find_obstacle(
    choice: PairsChoice, images: Mapping[str, PairImage], sigma: float | None
) -> str | None:
    if choice.kind == "files":
        for text, what in ((choice.low_path, "low"), (choice.high_path, "high")):
            if not text.strip():
                return f"Choose the {what}-resolution file or folder."
            if not Path(text).exists():
                return f"{text} does not exist."
        if Path(choice.low_path) == Path(choice.high_path):
            return (
                "Both paths are the same: choose the low- and the high-resolution one."
            )
        return None
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
    return find_mismatch(low, high)


def _describe_choice(
    choice: PairsChoice, sigma: float | None, factor: int | None, step: float
) -> str:
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
    # a step that no factor fits is said beside the button
    if not step or find_step_reason(step, factor or 2):
        return ""
    same = math.isclose(step, factor or 0, rel_tol=1e-3)
    if factor == 1:
        return (
            "The pixels of both images have one size: pairs for a ×1 model, which "
            "removes noise and blur alone. To learn ×2 of them, bin the low one."
        )
    return (
        f"One low-resolution pixel is as wide as {step:.3g} high-resolution ones"
        f"{', resampled' * (not same)}: pairs for a ×{factor} model."
    )


def _measure_step(low: PairImage | None, high: PairImage | None) -> float:
    if low is None or high is None or low.key == high.key:
        return 0.0
    try:
        return measure_pixel_step(low.axes, high.axes)
    except TrainingError:
        # said when the pair is made, with all that is then known of the images
        return 0.0


def _find_sigma(
    choice: PairsChoice, high: PairImage | None, factor: int | None
) -> float | None:
    if choice.kind != "high" or not factor:
        return None
    if choice.psf == "given":
        return choice.sigma
    # the formula of the optics needs micrometers, which not every layer has
    size = None if high is None else high.micrometers
    if not size:
        return None
    return compute_widefield_sigma(
        wavelength=choice.wavelength * 1e-3,
        aperture=choice.aperture,
        pixel_size=size * factor,
    )
