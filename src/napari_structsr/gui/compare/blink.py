"""Layers in turn, in the same place: which one is shown, and the timer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

__all__ = ["PERIODS", "Blink"]

PERIODS = (0.2, 2.0)
"""Shortest and longest time for which a layer is shown, in seconds."""


class Blink(QObject):
    """Shows one layer of a viewer after the other."""

    changed = Signal()
    """Another layer is visible."""

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Image] = []
        self._index = 0
        self._timer = QTimer(self)
        self._timer.setInterval(700)
        self._timer.timeout.connect(self.step)

    @property
    def shown(self) -> Image | None:
        """The layer that is visible."""
        return self._layers[self._index] if self._layers else None

    @property
    def goes_on(self) -> bool:
        """Whether the next layer comes by itself."""
        return bool(self._timer.isActive())

    def show_first(self, layers: Sequence[Image]) -> None:
        """Take layers, and show the first one."""
        self._layers, self._index = list(layers), 0
        self._show_one()

    def start(self, period: float | None = None) -> None:
        """Go on by itself; `period` is in seconds, brought within `PERIODS`."""
        if period is not None:
            self._timer.setInterval(round(1000 * float(np.clip(period, *PERIODS))))
        self._timer.start()

    def stop(self) -> None:
        """Stay with the layer that is visible."""
        self._timer.stop()

    def step(self, by: int = 1) -> None:
        """Show the next layer, or with -1 the one before."""
        self._index = (self._index + by) % len(self._layers)
        self._show_one()
        self.changed.emit()

    def _show_one(self) -> None:
        """Hide all layers but one; it appears before the last one goes."""
        shown = self._layers[self._index]
        # before the last one goes, or the canvas would flash
        shown.visible = True
        for layer in self._viewer.layers:
            if layer != shown and layer.visible:
                layer.visible = False
