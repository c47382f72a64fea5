"""Defaults that the user has set in napari, under Preferences > Plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from napari.settings import get_plugin_settings

_SMALLEST_TILE = 16  # pixels; the engine takes no smaller one


@dataclass(frozen=True)
class Preferences:
    """What the docks begin with.

    Parameters
    ----------
    model
        Name of the model.
    agreement
        Agreement with the measurement.
    device
        "auto", "cpu", "cuda" or "mps"; for every dock.
    sharpness
        Share of the way to the model from the one it can be blended with, 0 to 1.
    tile
        Input pixels along the side of what is written at once; None chooses.
    select_result
        Whether a new result becomes the selected layer.
    """

    model: str = "faithful"
    agreement: Literal["off", "noise", "exact"] = "off"
    device: str = "auto"
    sharpness: float = 1.0
    tile: int | None = None
    select_result: bool = False


def read_preferences() -> Preferences:
    """Return the defaults that the user has set."""
    try:
        wishes: Any = get_plugin_settings("napari-structsr").upscale
    except KeyError:  # the plugin is used without being installed
        return Preferences()
    return Preferences(
        model=wishes.model,
        agreement=wishes.agreement,
        device=wishes.device,
        sharpness=wishes.sharpness / 100,  # napari keeps it as percent
        tile=max(_SMALLEST_TILE, wishes.tile) if wishes.tile else None,
        select_result=wishes.select_result,
    )
