"""Where to begin with an image of some kind: values of controls, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from napari_structsr.gui.upscale.optics.optics_choice import WidthSource
from napari_structsr.gui.upscale.state import COLORS, Choice, Color


@dataclass(frozen=True)
class Preset:
    """What controls are set to for images of one kind.

    None of them undoes the blur of the optics: that is for the user to ask.

    Parameters
    ----------
    title
        What the images are called.
    model, color
        As in `Choice`.
    source, confocal
        Where the width of the blur comes from once the user wants it undone; None
        for a model that is not told.
    reason
        Why, in one sentence.
    """

    title: str
    model: str
    reason: str
    color: Color = "channels"
    source: WidthSource | None = None
    confocal: bool = False

    def describe(self) -> str:
        """Say what is set, one control after the other."""
        words = [f"model {self.model}"]
        if self.source is not None:
            pinhole = ", confocal" if self.confocal else ", wide-field"
            pinhole = pinhole if self.source == "file" else ""
            words += [f"same optics (blur width, if undone: {_WHENCE[self.source]}"]
            words[-1] += f"{pinhole})"
        words += [f"colour {COLORS[self.color][0].lower()}"]
        return f"Set: {'; '.join(words)}."

    def holds(self, choice: Choice) -> bool:
        """Say whether the controls still are as they were set."""
        optics = choice.optics
        same = choice.model == self.model and choice.color == self.color
        if self.source is None:
            return same
        told = (optics.undo, optics.source, optics.confocal)
        return same and told == (False, self.source, self.confocal)


_WHENCE: dict[WidthSource, str] = {
    "file": "file or NA",
    "edge": "on an edge",
}

PRESETS: dict[str, Preset] = {
    "wide-field": Preset(
        "Fluorescence, wide-field",
        model="conditional",
        source="file",
        reason="It measures the noise of each channel, and keeps it out.",
    ),
    "confocal": Preset(
        "Fluorescence, confocal",
        model="conditional",
        source="file",
        confocal=True,
        reason="Confocal images have few photons: it measures their noise.",
    ),
    "sem": Preset(
        "Electron microscopy (SEM)",
        model="conditional",
        source="edge",
        reason="There is no aperture to compute a blur from: edges show it.",
    ),
    "bright-field": Preset(
        "Bright-field, stained",
        model="faithful",
        color="luminance",
        reason="Stains hold their detail in the brightness, colours are interpolated.",
    ),
}
"""The presets, in the order in which they are offered."""
