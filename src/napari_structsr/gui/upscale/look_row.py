"""Two buttons of the Upscale dock, for who looks before he runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_structsr.gui.upscale.as_you_look import (
    find_order_obstacle,
    show_as_you_look,
)
from napari_structsr.gui.upscale.lens import Lens
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.controls import enable


class LookRow(QWidget):
    """Opens layers upscaled, or shows what lies below the mouse.

    Parameters
    ----------
    viewer
        Where the layers are.
    ask
        Returns the layers that can be upscaled, and what the user wants.
    """

    def __init__(
        self, viewer: Viewer, ask: Callable[[], tuple[list[Image], Choice]]
    ) -> None:
        super().__init__()
        self._viewer, self._ask = viewer, ask
        self._lens = Lens(viewer)
        self.look_button = QPushButton("As you look")
        self.lens_button = QPushButton("Lens")
        self.lens_button.setCheckable(True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.look_button)
        layout.addWidget(self.lens_button)
        self.look_button.clicked.connect(self._look)
        self.lens_button.toggled.connect(self._toggle)

    def show_obstacle(self, obstacle: str | None) -> None:
        """Enable the buttons, or say why they cannot work."""
        if obstacle is None:
            obstacle = find_order_obstacle(self._ask()[0][0])
        enable(
            self.look_button,
            obstacle,
            "Open the layer upscaled at once, and compute what the screen shows.",
        )
        enable(
            self.lens_button,
            None if self.lens_button.isChecked() else obstacle,
            "Show what lies below the mouse, upscaled.",
        )

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        self._lens.remove()

    def _look(self) -> None:
        layers, choice = self._ask()
        for layer in layers:
            show_as_you_look(self._viewer, layer, choice)

    def _toggle(self, on: bool) -> None:
        if not on:
            self._lens.remove()
            return
        layers, choice = self._ask()
        job = self._lens.start(layers[0], choice)
        job.ended.connect(partial(self._end, job))

    def _end(self, job: Job) -> None:
        # another one may have been started since
        if self._lens.last_job in (job, None):
            self.lens_button.setChecked(False)
