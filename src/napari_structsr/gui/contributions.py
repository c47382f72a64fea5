"""What the manifest offers to napari: one-click commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from napari.plugins import menu_item_template
from napari.utils.notifications import show_warning
from napari.viewer import Viewer

from napari_structsr.errors import SettingsError
from napari_structsr.gui.upscale.run import read_preferred_choice, upscale_layer
from napari_structsr.gui.viewer.companions import follow_image
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.layers import layer_obstacle
from napari_structsr.gui.viewer.plain_text import keep_plain

if TYPE_CHECKING:
    from napari_structsr.gui.inspect.dock import ErrorDock

# as in the manifest
_PLUGIN = "Structure-informed super-resolution"


def upscale_selected_x2(viewer: Viewer) -> None:
    """Upscale the selected image layers twofold, with the user's preferences."""
    _upscale_selected(viewer, factor=2)


def upscale_selected_x4(viewer: Viewer) -> None:
    """Upscale the selected image layers fourfold, with the user's preferences."""
    _upscale_selected(viewer, factor=4)


def _upscale_selected(viewer: Viewer, *, factor: int) -> list[Job]:
    """Start a run for each selected layer, and name those that cannot be upscaled."""
    choice = read_preferred_choice(factor=factor)
    # in the order of the list, not in that of the clicks
    selected = [layer for layer in viewer.layers if layer in viewer.layers.selection]
    if not selected:
        show_warning("Select one or more image layers, then upscale them.")
    jobs = []
    for layer in selected:
        if obstacle := layer_obstacle(layer):
            show_warning(keep_plain(f"{layer.name}: {obstacle}"))
        elif isinstance(layer, Image):  # always, without an obstacle; for mypy
            jobs.append(upscale_layer(viewer, layer, choice))
    return jobs


def refine_selected_labels(viewer: Viewer) -> None:
    """Add the selected labels on the pixels of the selected, upscaled image."""
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
    _open_error_dock(viewer).inspect_selection(needs_reference=True)


def inspect_result(viewer: Viewer) -> None:
    """Map where the selected result is not supported by its source."""
    _open_error_dock(viewer).inspect_selection(needs_reference=False)


def compare_selected(viewer: Viewer) -> None:
    """Show the selected image layers side by side, with linked cameras."""
    _open_error_dock(viewer).compare_selection()


def _open_error_dock(viewer: Viewer) -> ErrorDock:
    """Open the dock, or bring the one that is open to the front."""
    from napari_structsr.gui.inspect.dock import ErrorDock

    # napari keeps docks by the name of their menu, so that another way to the same
    # dock would open a second one
    docks = viewer.window.dock_widgets.values()
    found = next((one for one in docks if isinstance(one, ErrorDock)), None)
    if found is None:
        found = ErrorDock(viewer)
        name = menu_item_template.format(_PLUGIN, "Structure error")
        viewer.window.add_dock_widget(found, name=name)
    if (frame := found.frame) is not None:
        frame.show()
        frame.raise_()
    return found
