"""The button that shows what is looked at upscaled, until it is clicked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QPushButton

from napari_structsr.gui.upscale.preview_layer import Preview
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.widgets.controls import enable
from napari_structsr.gui.widgets.viewer_widget import PREVIEW_KEY


class PreviewButton(QPushButton):
    """Begins and ends the preview of a viewer.

    Parameters
    ----------
    viewer
        Whose view is upscaled.
    ask
        Returns the layer, what the user wants, and the widths told of each channel.
    """

    shown = Signal()
    """The first preview since a click is there, or has failed."""

    def __init__(
        self,
        viewer: Viewer,
        ask: Callable[[], tuple[Image, Choice, Sequence[float]]],
    ) -> None:
        super().__init__("Preview")
        self._preview, self._ask = Preview(viewer), ask
        self._obstacle: str | None = None
        self.setCheckable(True)
        self.clicked.connect(self._toggle)
        self._preview.changed.connect(self._show)

    def show_obstacle(self, obstacle: str | None) -> None:
        """Enable the button, or say why it cannot work; follow what is chosen."""
        self._obstacle = obstacle
        self._show()
        if self._preview.is_on and obstacle is None:
            self._preview.renew(*self._ask())

    def remove(self) -> None:
        """Take the preview away."""
        self._preview.remove()

    def _toggle(self, wanted: bool) -> None:
        if wanted:
            self._preview.start(*self._ask()).ended.connect(self.shown)
        else:
            self._preview.remove()

    def _show(self) -> None:
        self.setChecked(self._preview.is_on)
        self.setText("Previewing…" if self._preview.is_busy else "Preview")
        enable(
            self,
            # what is there can be taken away
            None if self._preview.is_on else self._obstacle,
            "Upscale what the canvas shows, in a frame that follows plane, place, zoom "
            f"and model, until the next click ({PREVIEW_KEY}).",
        )
