"""What the manifest offers to napari: one-click commands.

What they stand on is imported when the first of them is used, so that the interface
does not wait for it.
"""

from __future__ import annotations

from napari.layers import Image, Labels
from napari.utils.notifications import show_warning
from napari.viewer import Viewer

from napari_structsr.errors import SettingsError
from napari_structsr.gui.docks import open_error_dock
from napari_structsr.gui.viewer.imports import when_imported
from napari_structsr.gui.viewer.plain_text import keep_plain

_RUN = "napari_structsr.gui.upscale.run"


def upscale_selected_x2(viewer: Viewer) -> None:
    """Upscale the selected image layers twofold, with the user's preferences."""
    when_imported(_RUN, lambda: _upscale_selected(viewer, factor=2))


def upscale_selected_x4(viewer: Viewer) -> None:
    """Upscale the selected image layers fourfold, with the user's preferences."""
    when_imported(_RUN, lambda: _upscale_selected(viewer, factor=4))


def _upscale_selected(viewer: Viewer, *, factor: int) -> None:
    """Start a run for each selected layer, and name those that cannot be upscaled."""
    from napari_structsr.gui.upscale.run import read_preferred_choice, upscale_layer
    from napari_structsr.gui.viewer.layers import layer_obstacle

    choice = read_preferred_choice(factor=factor)
    # in the order of the list, not in that of the clicks
    selected = [layer for layer in viewer.layers if layer in viewer.layers.selection]
    if not selected:
        show_warning("Select one or more image layers, then upscale them.")
    for layer in selected:
        if obstacle := layer_obstacle(layer):
            show_warning(keep_plain(f"{layer.name}: {obstacle}"))
        elif isinstance(layer, Image):  # always, without an obstacle; for mypy
            upscale_layer(viewer, layer, choice)


def refine_selected_labels(viewer: Viewer) -> None:
    """Add the selected labels on the pixels of the selected, upscaled image."""
    when_imported(_RUN, lambda: _refine_selected(viewer))


def _refine_selected(viewer: Viewer) -> None:
    from napari_structsr.gui.viewer.companions import follow_image

    selected = [layer for layer in viewer.layers if layer in viewer.layers.selection]
    labels = [layer for layer in selected if isinstance(layer, Labels)]
    images = [layer for layer in selected if isinstance(layer, Image)]
    if not labels or len(images) != 1:
        show_warning("Select labels, and one upscaled image that they shall follow.")
        return
    for layer in labels:
        try:
            follow_image(viewer, layer, images[0])
        except SettingsError as error:
            show_warning(keep_plain(str(error)))


def inspect_against_reference(viewer: Viewer) -> None:
    """Map where the selected result differs from the selected reference."""
    open_error_dock(viewer, lambda dock: dock.inspect_selection(needs_reference=True))


def inspect_result(viewer: Viewer) -> None:
    """Map where the selected result is not supported by its source."""
    open_error_dock(viewer, lambda dock: dock.inspect_selection(needs_reference=False))


def compare_selected(viewer: Viewer) -> None:
    """Show the selected image layers side by side, with linked cameras."""
    open_error_dock(viewer, lambda dock: dock.compare_selection())
