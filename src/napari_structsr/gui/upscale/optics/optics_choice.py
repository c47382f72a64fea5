"""What the user can say of the optics: pure, without Qt or napari."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from napari_structsr.upscaling.measured_width import Marks

MarkedShape = Literal["bead", "edge", "filament"]
WidthSource = Literal["file", "formula", "bead", "edge", "filament", "image", "hand"]

WIDTH_SOURCES: dict[WidthSource, tuple[str, str]] = {
    "file": (
        "From the file",
        "Numerical aperture and emission wavelength of each channel, as the file "
        "names them.",
    ),
    "formula": (
        "NA and wavelength",
        "The width follows from the aperture of the objective, the emission "
        "wavelength and the pixel size.",
    ),
    "bead": (
        "Measured on a bead",
        "Fitted to points that you set on small bright spots, within 3 pixels.",
    ),
    "edge": (
        "Measured on an edge",
        "Fitted along lines that you draw across sharp edges, from well before to "
        "well behind.",
    ),
    "filament": (
        "Measured on a filament",
        "Fitted along lines that you draw across thin filaments.",
    ),
    "image": (
        "From the image",
        "Estimated from the whole image. That leaves much open: a soft scene looks "
        "like a wide blur. The least that it may be is undone.",
    ),
    "hand": (
        "By hand",
        "The standard deviation of the point-spread function in measured pixels, as "
        "fitted on a bead: its full width at half maximum divided by 2.35.",
    ),
}


@dataclass(frozen=True)
class OpticsChoice:
    """What the user says of the optics.

    Parameters
    ----------
    undo
        Whether the blur of the optics is undone; otherwise pixels become finer alone.
    source
        Where the width of the blur comes from.
    psf_sigma
        The width by hand, in measured pixels; None while it is not given.
    places, plane
        What is pointed at: Y,X of each bead, or Y,X,Y,X of a line across each edge or
        filament, in pixels of the layer, and the plane along t, c and z.
    diameter
        Of bead or filament in micrometres; None for one that is thin.
    aperture, wavelength, confocal
        Numerical aperture, emission wavelength in micrometres, and whether there was
        a pinhole; None while they are not given.
    """

    undo: bool = False
    source: WidthSource = "file"
    psf_sigma: float | None = None
    aperture: float | None = None
    wavelength: float | None = None
    confocal: bool = False
    places: tuple[tuple[float, ...], ...] = ()
    plane: tuple[int, ...] = ()
    diameter: float | None = None

    @property
    def marked(self) -> MarkedShape | None:
        """What is pointed at, where the width is measured on it."""
        return next((s for s in get_args(MarkedShape) if s == self.source), None)

    @property
    def measures(self) -> bool:
        """Whether the width is measured in the image."""
        return self.undo and (self.marked is not None or self.source == "image")

    @property
    def needs_image(self) -> bool:
        """Whether the width follows from what is known of the image."""
        return self.undo and self.source != "hand"

    def to_marks(self) -> Marks:
        """Return what is pointed at; only where the width is measured on it."""
        if self.marked is None:
            raise ValueError(f"nothing is pointed at where the source is {self.source}")
        diameter = 0.0 if self.marked == "edge" else self.diameter or 0.0
        return Marks(self.marked, self.places, self.plane, diameter)

    def to_settings(self) -> dict[str, Any]:
        """Return the settings of the engine that say the same."""
        if not self.undo:
            return {}
        if self.source == "hand":
            return {"psf_sigma": self.psf_sigma}
        if self.source == "file":
            return {"undo_optics": True}
        if self.source == "image":
            return {"width_from_image": True}
        if shape := self.marked:
            numbers = tuple(number for place in self.places for number in place)
            said: dict[str, Any] = {shape: numbers}
            if self.plane:
                said["plane"] = self.plane
            if self.diameter and shape != "edge":
                said["diameter"] = self.diameter
            return said
        return {
            "undo_optics": True,
            "aperture": self.aperture,
            "wavelength": self.wavelength,
            "confocal": self.confocal,
        }


@dataclass(frozen=True)
class TrainedOptics:
    """Widths of the blur that a model knows, in measured pixels.

    Parameters
    ----------
    default
        What it is told where the optics stay.
    low, high
        Range that it was trained for.
    """

    default: float
    low: float
    high: float
