"""What pairs the user wants, as it stands in the form: no Qt, no napari.

`suggest_pair` fills the choice from the selection; what can be done is decided by
`pairs_state`. Layers are named by keys that stay when a layer gets another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from napari_structsr.core.axes import Axes, Axis

__all__ = [
    "FACTORS",
    "KINDS",
    "PairsChoice",
    "PairsState",
    "TuneImage",
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
FACTORS: dict[int, tuple[str, str]] = {
    0: (
        "Auto",
        "That of the pairs in the list; for the first one, the factor that is nearest "
        "to the pixel sizes.",
    ),
    2: ("×2", "Half the pixel size."),
    4: ("×4", "A quarter of the pixel size."),
}
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
    def axes(self) -> Axes:
        """The axes of a plane, wherever it lies."""
        return Axes(
            tuple(
                Axis(name, size, pixel, 0.0, self.unit)
                for name, size, pixel in zip("yx", self.plane, self.pixel, strict=True)
            )
        )

    @property
    def micrometers(self) -> float | None:
        """Mean pixel size; None where it is not known."""
        share = _UNITS.get(self.unit or "")
        return None if share is None else share * sum(map(abs, self.pixel)) / 2

    @property
    def coarseness(self) -> float:
        """Size of a pixel, and for equal ones fewer pixels as larger."""
        size = self.micrometers or sum(map(abs, self.pixel)) / 2
        return size + 1e-12 / max(1, self.plane[0] * self.plane[1])


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
    factor
        Of the pairs to be; None where it is found when the images are opened.
    hint
        A sentence below the form, or "".
    sigma
        Width of the point-spread function in measured pixels, for high resolution
        alone; None where it is not known.
    add, draw, swap
        Why the button cannot work; None if it can.
    """

    choice: PairsChoice
    factor: int | None
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
    pair = found[-2:]
    if len({one.micrometers is None for one in pair}) > 1:  # sizes do not compare
        low, high = sorted(pair, key=lambda one: one.plane[0] * one.plane[1])
    else:
        low, high = sorted(pair, key=lambda one: one.coarseness, reverse=True)
    return replace(choice, low=low.key, high=high.key)


def swapped_pair(choice: PairsChoice) -> PairsChoice:
    """Let low and high change places."""
    return replace(choice, low=choice.high, high=choice.low)
