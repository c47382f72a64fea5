"""What a conditional model is told of the optics: pure, without Qt or napari.

By default pixels become finer and the optics stay. The blur of the optics is undone
where the user asks for it, with a width that the file, the aperture and wavelength, a
measurement or the user gives: without one there is an obstacle, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_structsr.core.axes import Axes, Channel, ImageSpec
from napari_structsr.core.optics import FoundWidth, Optics
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice, TrainedOptics
from napari_structsr.io.units import compute_pixel_size

_WAVELENGTHS = (0.1, 5.0)  # micrometres; what the engine takes
_LINES = 6  # for the channels
_WAITING: dict[str, str] = {
    "bead": "Press “Point at beads” and click on small bright spots.",
    "edge": "Press “Draw across edges” and draw a line across a sharp edge.",
    "filament": "Press “Draw across filaments” and draw a line across a thin one.",
    "image": "Press “Measure” to look at samples of the whole image.",
}


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
    widths
        Told of each channel, layer by layer.
    """

    choice: OpticsChoice
    offers_file: bool = False
    told: str = ""
    obstacle: str | None = None
    optics: Optics | None = None
    psf_sigma: float | None = None
    widths: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Width:
    """Width of the blur of one channel, and where it comes from."""

    label: str
    psf_sigma: float
    origin: str
    optics: Optics | None = None


class _MissingWidthError(Exception):
    """Nothing says how wide the blur is; the message is for people."""


Measured = Sequence[FoundWidth] | str | None
"""What was measured of each channel of a layer, or in words why nothing was."""


def resolve_optics(
    choice: OpticsChoice,
    specs: Sequence[ImageSpec],
    trained: TrainedOptics,
    measured: Sequence[Measured] = (),
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
    measured
        Of each layer, where the width is measured in it.
    """
    if not choice.undo:
        width = _Width("", trained.default, "")
        return OpticsState(choice, told=_describe_told([width]))
    offers_file = any(channel.optics for spec in specs for channel in spec.channels)
    if choice.source == "file" and not offers_file:
        choice = replace(choice, source="formula")
    try:
        if choice.measures:
            widths = [
                width
                for spec, found in zip(specs, measured, strict=True)
                for width in _take_measured(choice, spec, found, trained)
            ]
        else:
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
        widths=tuple(width.psf_sigma for width in widths),
    )


def resolve_optics_of_files(
    choice: OpticsChoice, trained: TrainedOptics
) -> OpticsState:
    """Decide what the dock shows of the optics of files that are opened later."""
    if not choice.undo:
        return resolve_optics(choice, [], trained)
    if choice.marked is not None:
        words = "Marks lie on one image: choose another source of the width."
        return OpticsState(choice, True, obstacle=words)
    origin = "each from its file" if choice.source == "file" else "measured in each"
    try:
        if choice.source == "hand":
            spec = ImageSpec("", Axes.of("yx", (2, 2)), np.dtype(np.uint8))
            [width] = _find_widths(choice, spec, trained)
            return OpticsState(choice, True, told=_describe_told([width]))
        if choice.source == "formula":
            optics = _read_formula(choice)
            origin = f"NA {optics.aperture:g}, with the pixel size of each"
    except _MissingWidthError as error:
        return OpticsState(choice, True, obstacle=str(error))
    return OpticsState(choice, True, told=f"Told: the blur of every image, {origin}.")


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


def _take_measured(
    choice: OpticsChoice, spec: ImageSpec, found: Measured, trained: TrainedOptics
) -> list[_Width]:
    """Return the low end of what was measured: less is undone rather than more."""
    if found is None:
        raise _MissingWidthError(_WAITING[choice.source])
    if isinstance(found, str):
        raise _MissingWidthError(found)
    size = compute_pixel_size(spec.axes)
    if choice.marked:
        found = found[:1]  # one mark holds for all channels
    widths = []
    for number, one in enumerate(found):
        label = spec.name
        if len(found) > 1:
            named = number < len(spec.channels) and spec.channels[number].name
            label = named or f"channel {number}"
        if one.low > trained.high:
            raise _MissingWidthError(
                f"The blur of {label} is {one.sigma:.1f} pixels wide, and the model "
                f"knows {trained.high:g} at most: bin the image first."
            )
        sigma = max(one.low, trained.low)
        widths.append(_Width(label, sigma, one.describe(size)))
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
