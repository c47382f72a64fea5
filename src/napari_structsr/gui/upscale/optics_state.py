"""What a conditional model is told of the optics: pure, without Qt or napari.

By default pixels become finer and the optics stay. The blur of the optics is undone
where the user asks for it, with a width that the file, the aperture and wavelength, or
the user gives: without one there is an obstacle, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from napari_structsr.core.axes import Channel, ImageSpec
from napari_structsr.core.optics import Optics
from napari_structsr.io.units import compute_pixel_size

WidthSource = Literal["file", "formula", "hand"]

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
    "hand": (
        "By hand",
        "The standard deviation of the point-spread function in measured pixels, as "
        "fitted on a bead: its full width at half maximum divided by 2.35.",
    ),
}

_WAVELENGTHS = (0.1, 5.0)  # micrometres; what the engine takes
_LINES = 6  # for the channels


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

    @property
    def needs_image(self) -> bool:
        """Whether the width follows from what is known of the image."""
        return self.undo and self.source != "hand"

    def to_settings(self) -> dict[str, Any]:
        """Return the settings of the engine that say the same."""
        if not self.undo:
            return {}
        if self.source == "hand":
            return {"psf_sigma": self.psf_sigma}
        if self.source == "file":
            return {"undo_optics": True}
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


@dataclass(frozen=True)
class OpticsState:
    """What the dock shows of the optics.

    Parameters
    ----------
    choice
        The wish, as far as it can be granted.
    offers_file
        Whether the file of a selected layer names its optics.
    told
        What the model will be told, in words.
    obstacle
        Why the optics cannot be undone, in words; None if they can.
    optics, psf_sigma
        Of the first channel, where they are known.
    """

    choice: OpticsChoice
    offers_file: bool = False
    told: str = ""
    obstacle: str | None = None
    optics: Optics | None = None
    psf_sigma: float | None = None


@dataclass(frozen=True)
class _Width:
    """Width of the blur of one channel, and where it comes from."""

    label: str
    psf_sigma: float
    origin: str
    optics: Optics | None = None


class _MissingWidthError(Exception):
    """Nothing says how wide the blur is; the message is for people."""


def resolve_optics(
    choice: OpticsChoice, specs: Sequence[ImageSpec], trained: TrainedOptics
) -> OpticsState:
    """Decide what the dock shows of the optics.

    Parameters
    ----------
    choice
        What the form says.
    specs
        The selected layers, with the optics that their files name; read only where
        the blur is undone.
    trained
        What the model was trained for.
    """
    if not choice.undo:
        width = _Width("", trained.default, "")
        return OpticsState(choice, told=_describe_told([width]))
    offers_file = any(channel.optics for spec in specs for channel in spec.channels)
    if choice.source == "file" and not offers_file:
        choice = replace(choice, source="formula")
    try:
        widths = [
            width for spec in specs for width in _find_widths(choice, spec, trained)
        ]
    except _MissingWidthError as error:
        return OpticsState(choice, offers_file, obstacle=str(error))
    if len(specs) == 1 and len(widths) == 1:
        widths = [replace(widths[0], label="")]
    first = widths[0] if widths else None
    return OpticsState(
        choice,
        offers_file,
        told=_describe_told(widths),
        optics=first.optics if first else None,
        psf_sigma=first.psf_sigma if first else None,
    )


def _find_widths(
    choice: OpticsChoice, spec: ImageSpec, trained: TrainedOptics
) -> list[_Width]:
    if choice.source == "hand":
        if choice.psf_sigma is None or not _is_within(choice.psf_sigma, trained):
            raise _MissingWidthError(
                "Give the width of the blur in measured pixels, "
                f"{trained.low:g} to {trained.high:g}."
            )
        return [_Width(spec.name, choice.psf_sigma, "by hand")]
    if choice.source == "formula":
        optics = _read_formula(choice)
        return [_compute_width(spec, spec.name, optics, "by hand", trained)]
    count = spec.axes["c"].size if "c" in spec.axes else 1
    widths = []
    for number, channel in enumerate(spec.channels or (Channel(),) * count):
        name = channel.name or f"channel {number}"
        # a layer of one channel is known by its own name
        label = spec.name if count == 1 else name
        if channel.optics is None:
            raise _MissingWidthError(
                f"The file does not say how {label} was taken: choose another source "
                "of the width."
            )
        widths.append(_compute_width(spec, label, channel.optics, "from file", trained))
    return widths


def _read_formula(choice: OpticsChoice) -> Optics:
    low, high = _WAVELENGTHS
    if choice.aperture is None or choice.wavelength is None:
        raise _MissingWidthError(
            "Give the numerical aperture and the emission wavelength, or choose "
            "“By hand” and give the width."
        )
    if not low <= choice.wavelength <= high:
        raise _MissingWidthError(
            f"Give the emission wavelength in nanometres, {1000 * low:.0f} to "
            f"{1000 * high:.0f}."
        )
    return Optics(choice.aperture, choice.wavelength, choice.confocal)


def _compute_width(
    spec: ImageSpec, label: str, optics: Optics, origin: str, trained: TrainedOptics
) -> _Width:
    pixel_size = compute_pixel_size(spec.axes)
    if pixel_size is None:
        raise _MissingWidthError(
            f"{spec.name} has no pixel size in a unit of length: choose “By hand” "
            "and give the width in pixels."
        )
    sigma = optics.cautious_sigma(pixel_size)
    if sigma > trained.high:
        raise _MissingWidthError(
            f"The blur of {label} is {sigma:.1f} pixels wide, and the model knows "
            f"{trained.high:g} at most: bin the image first."
        )
    kind = ", confocal" if optics.confocal else ""
    words = f"{origin}: NA {optics.aperture:g}, {1000 * optics.wavelength:.0f} nm{kind}"
    # the engine does the same: an undersampled image has less blur than was trained
    return _Width(label, max(sigma, trained.low), words, optics)


def _is_within(psf_sigma: float, trained: TrainedOptics) -> bool:
    return trained.low <= psf_sigma <= trained.high


def _describe_told(widths: Sequence[_Width]) -> str:
    """Say what the model will be told, one line for each channel that differs."""
    if not widths:
        return ""
    lines = []
    for width in widths:
        origin = f" ({width.origin})" if width.origin else ""
        label = f"{width.label}: " if width.label else ""
        lines.append(f"{label}{width.psf_sigma:.2f} pixels{origin}")
    if len(lines) == 1:
        return f"Told: blur of {lines[0]}, noise measured in the image."
    if len(lines) > _LINES:
        lines[_LINES - 1 :] = [f"and {len(lines) - _LINES + 1} more"]
    return "\n".join(["Told, with noise measured in the image:", *lines])
