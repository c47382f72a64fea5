"""What the manifest offers to napari: one-click commands."""

from __future__ import annotations

from napari.layers import Image
from napari.utils.notifications import show_warning
from napari.viewer import Viewer

from napari_structsr.gui.jobs import Job
from napari_structsr.gui.layers import why_not
from napari_structsr.gui.preferences import preferred_choice
from napari_structsr.gui.runs import upscale_layer

__all__ = ["upscale_selected_x2", "upscale_selected_x4"]


def upscale_selected_x2(viewer: Viewer) -> None:
    """Upscale the selected image layers twofold, with the user's preferences."""
    _upscale_selected(viewer, factor=2)


def upscale_selected_x4(viewer: Viewer) -> None:
    """Upscale the selected image layers fourfold, with the user's preferences."""
    _upscale_selected(viewer, factor=4)


def _upscale_selected(viewer: Viewer, *, factor: int) -> list[Job]:
    """Start a run for each selected layer, and name those that cannot be upscaled."""
    choice = preferred_choice(factor=factor)
    selected = [layer for layer in viewer.layers if layer in viewer.layers.selection]
    if not selected:
        show_warning("Select one or more image layers, then upscale them.")
    jobs = []
    for layer in selected:
        if obstacle := why_not(layer):
            show_warning(f"{layer.name}: {obstacle}")
        elif isinstance(layer, Image):
            jobs.append(upscale_layer(viewer, layer, choice))
    return jobs
