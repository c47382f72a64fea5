"""Two buttons of the Upscale dock, for who looks before he runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_structsr.gui.upscale.as_you_look import (
    find_order_obstacle,
    show_as_you_look,
)
from napari_structsr.gui.upscale.lens import Lens
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.controls import enable

_LOOK, _LENS = "As you look", "Lens"


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
        self.look_button = QPushButton(_LOOK)
        self.lens_button = QPushButton(_LENS)
        self.lens_button.setCheckable(True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.look_button)
        layout.addWidget(self.lens_button)
        self.look_button.clicked.connect(self._look)
        self.lens_button.toggled.connect(self._toggle)

    def show_obstacles(self, *, look: str | None, lens: str | None) -> None:
        """Enable the buttons, or say why they cannot work."""
        orders = (
            [find_order_obstacle(one) for one in self._ask()[0]] if not look else []
        )
        order = next((one for one in orders if one), None)
        enable(
            self.look_button,
            look or order,
            "Open the layers upscaled at once, and compute what the screen shows.",
        )
        enable(
            self.lens_button,
            None if self.lens_button.isChecked() else lens or order,
            "Show what lies below the mouse, upscaled.",
        )

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        self._lens.remove()

    def _look(self) -> None:
        layers, choice = self._ask()
        jobs = [show_as_you_look(self._viewer, layer, choice) for layer in layers]
        self._tell(self.look_button, *jobs)

    def _toggle(self, on: bool) -> None:
        if not on:
            self._lens.remove()
            return
        layers, choice = self._ask()
        job = self._lens.start(layers[0], choice)
        self._tell(self.lens_button, job)
        job.ended.connect(partial(self._end, job))

    def _tell(self, button: QPushButton, *jobs: Job) -> None:
        """Say on a button that a model is being loaded, until something is shown."""
        # numbers, as a job that its own signals refer to would never be freed
        waiting = set(range(len(jobs)))

        def stop(number: int, *_: object) -> None:
            waiting.discard(number)
            if not waiting and isalive(button):  # type: ignore[no-untyped-call]
                button.setText(_LENS if button == self.lens_button else _LOOK)

        button.setText("Opening…")
        for number, job in enumerate(jobs):
            job.said.connect(partial(stop, number))
            job.ended.connect(partial(stop, number))

    def _end(self, job: Job) -> None:
        # the window may be gone, and another lens may have been taken since
        if not isalive(self):  # type: ignore[no-untyped-call]
            return
        if self._lens.last_job in (job, None):
            self.lens_button.setChecked(False)
