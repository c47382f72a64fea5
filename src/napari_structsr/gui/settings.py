"""Defaults of the user, kept by napari (Preferences > Plugins)."""

from __future__ import annotations

from typing import Any

from napari.settings import get_plugin_settings

from napari_structsr.gui.upscale.state import Choice

__all__ = ["preferred_choice"]

_SMALLEST_TILE = 16  # pixels; the engine takes no smaller one


def preferred_choice(*, factor: int = 2) -> Choice:
    """Return what the user wants where nothing else is said."""
    try:
        wishes: Any = get_plugin_settings("napari-structsr").upscale
    except KeyError:  # the plugin is used without being installed
        return Choice(factor=factor)
    return Choice(
        model=wishes.model,
        factor=factor,
        agreement=wishes.agreement,
        device=wishes.device,
        sharpness=wishes.sharpness / 100,
        tile=max(_SMALLEST_TILE, wishes.tile) if wishes.tile else None,
    )
