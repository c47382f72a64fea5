"""From what pairs the user wants to what the first step shows: no Qt, no napari.

`PairsChoice` is the intention as it stands in the form. `suggest_pair` fills it from
the selection, `resolve_pairs` says what can be done and, in words, why a button cannot
work. What a pair is worth is decided by the engine; here is only what can be seen
without reading a pixel. Layers are named by keys that stay when a layer gets another
name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from napari_structsr.core.optics import widefield_sigma

__all__ = [
    "KINDS",
    "PairsChoice",
    "PairsState",
    "TuneImage",
    "resolve_pairs",
    "suggest_pair",
    "swapped_pair",
]

Kind = Literal["layers", "files", "high"]
Psf = Literal["optics", "given"]

KINDS: dict[Kind, tuple[str, str]] = {
    "layers": (
        "Two layers",
        "The same place measured twice: with low and with high resolution.",
    ),
    "files": (
        "Files or folders",
        "A low- and a high-resolution file, or two folders whose files belong together "
        "by their names, or else by the order of these.",
    ),
    "high": (
        "High resolution only",
        "The low-resolution partner is computed: blur, larger pixels and noise.",
    ),
}
_WIDEST = 2.0  # measured pixels
_SAME = 1.02  # ratio of pixel sizes that is taken for none
_UNITS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6}


@dataclass(frozen=True)
class TuneImage:
    """What must be known of an image layer.

    Parameters
    ----------
    key, name
        What the layer is known by, and as shown in the layer list.
    plane
        Pixels along y and x.
    pixel
        Pixel size along y and x, in `unit`.
    unit
        UDUNITS name; None for pixels.
    planes
        Number of planes: all of t, c and z.
    rgb
        Whether pixels have a colour.
    """

    key: str
    name: str
    plane: tuple[int, int]
    pixel: tuple[float, float] = (1.0, 1.0)
    unit: str | None = None
    planes: int = 1
    rgb: bool = False

    @property
    def micrometers(self) -> float | None:
        """Mean pixel size; None where it is not known."""
        share = _UNITS.get(self.unit or "")
        return None if share is None else share * sum(map(abs, self.pixel)) / 2


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
        For high resolution alone.
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
    factor: int = 2
    psf: Psf = "optics"
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
    hint
        A sentence below the form, or "".
    sigma
        Width of the point-spread function in measured pixels, for high resolution
        alone; None where it is not known.
    add, draw, swap
        Why the button cannot work; None if it can.
    """

    choice: PairsChoice
    hint: str
    sigma: float | None
    add: str | None
    draw: str | None
    swap: str | None


def suggest_pair(
    images: Sequence[TuneImage],
    selected: Sequence[str],
    *,
    choice: PairsChoice,
) -> PairsChoice:
    """Fill in the layers from the selection: larger pixels are the low resolution.

    Parameters
    ----------
    images
        All image layers.
    selected
        Keys of the selected ones, the one clicked last at the end.
    choice
        What else the user wants.
    """
    by_key = {image.key: image for image in images}
    found = [by_key[key] for key in selected if key in by_key]
    if len(found) < 2 and len(images) == 2:
        found = list(images)
    if choice.kind == "high":
        return replace(choice, high=found[-1].key) if found else choice
    if len(found) < 2:
        return choice
    low, high = sorted(found[-2:], key=_coarseness, reverse=True)
    return replace(choice, low=low.key, high=high.key)


def swapped_pair(choice: PairsChoice) -> PairsChoice:
    """Let low and high change places."""
    return replace(choice, low=choice.high, high=choice.low)


def resolve_pairs(
    choice: PairsChoice,
    images: Sequence[TuneImage],
    *,
    regions: Mapping[str, int],
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
    sigma = _sigma(choice, high) if choice.kind == "high" else None
    fault = _fault(choice, by_key, sigma)
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
        hint=_hint(choice, sigma),
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
    coarse, fine = _coarseness(low), _coarseness(high)
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


def _hint(choice: PairsChoice, sigma: float | None) -> str:
    """Say what the choice means where it is not plain."""
    if choice.kind == "high" and sigma is not None:
        noise = (
            "noise as in the sample layer"
            if choice.sample
            else "little noise, since no sample is chosen"
        )
        return (
            f"Partners are blurred with a sigma of {sigma:.2f} measured pixels, "
            f"binned ×{choice.factor}, with {noise}."
        )
    if choice.kind == "files":
        return "OME-TIFF, TIFF and OME-Zarr; pixel sizes are read from the files."
    return ""


def _sigma(choice: PairsChoice, high: TuneImage | None) -> float | None:
    """Return the width of the point-spread function in measured pixels."""
    if choice.psf == "given":
        return choice.sigma
    size = None if high is None else high.micrometers
    if not size:
        return None
    return widefield_sigma(
        wavelength=choice.wavelength * 1e-3,
        aperture=choice.aperture,
        pixel_size=size * choice.factor,
    )


def _coarseness(image: TuneImage) -> float:
    """Return the size of a pixel, and for equal ones fewer pixels as larger."""
    size = image.micrometers or sum(map(abs, image.pixel)) / 2
    return size + 1e-12 / max(1, image.plane[0] * image.plane[1])


def _planes(count: int) -> str:
    """Count planes in words."""
    return "a single plane" if count == 1 else f"{count} planes"


def _known(key: str | None, there: Collection[str]) -> str | None:
    """Drop what is no longer there."""
    return key if key in there else None
