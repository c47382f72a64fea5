"""Layers side by side, in turn, or left and right of a line.

It owns what is shown while layers are compared, and the way back: the first mode takes
a snapshot of the viewer, and the end brings exactly that back. `LayerComparison` has no
widget and serves scripts as well as `ComparePanel`.

::

    nothing ──► side_by_side │ blink │ swipe ──► end ──► as it was
                      ▲───────────────┘ modes may follow each other

The end comes by itself when a compared layer is removed, or when the user turns the
grid of napari on or off. Images that come meanwhile wait for the end to be seen. While
the canvas has the focus, "," and "." go on by hand, and Escape ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Literal
from weakref import WeakSet

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_structsr.errors import SettingsError
from napari_structsr.gui.compare.rules import compare_obstacle, link_obstacle
from napari_structsr.gui.compare.snapshot import (
    ViewerSnapshot,
    bind_keys,
    name_sides,
    share_contrast,
    show_cells,
)
from napari_structsr.gui.compare.swipe import Swipe, canvas_of, swipe_obstacle

Mode = Literal["side by side", "blink", "swipe"]

PERIODS = (0.2, 2.0)
"""Shortest and longest time for which blink shows a layer, in seconds."""

_STEP = 0.05  # of the canvas, by which a key moves the line


class LayerComparison(QObject):
    """Shows layers of a viewer in comparison, until the end.

    It takes two or more images, in the order in which they are shown; a `SettingsError`
    says what keeps them from being compared. A comparison ends with its parent, which
    is the canvas of the viewer by default.
    """

    changed = Signal()
    """Another mode, or another layer visible."""
    moved = Signal(float)
    """The share of the canvas left of the line of a swipe has changed."""
    ended = Signal()
    """The viewer looks as before."""

    # a viewer has one way back: two comparisons would each restore the other's looks
    _under_way: ClassVar[WeakSet[LayerComparison]] = WeakSet()

    def __init__(
        self, viewer: Viewer, layers: Sequence[Image], parent: QObject | None = None
    ) -> None:
        # a child of the canvas or the panel: no timer may outlive the window
        canvas = None if parent is not None else canvas_of(viewer)
        super().__init__(parent if canvas is None else canvas.native)
        if obstacle := compare_obstacle(layers):
            raise SettingsError(obstacle)
        self._viewer = viewer
        self._layers = list(layers)
        self.mode: Mode | None = None  # before the beginning and after the end
        self.line: Swipe | None = None  # its world x, `position`, can be set
        self._before: ViewerSnapshot | None = None
        self._undo_mode, self._undo_all = ExitStack(), ExitStack()
        self._last: float | None = None  # where the line was
        self._index = 0  # of the layer that blink shows
        self._timer = QTimer(self)
        self._timer.setInterval(700)
        self._timer.timeout.connect(self._turn)
        self._unlink: Callable[[], None] | None = None

    @property
    def layers(self) -> list[Image]:
        """The compared layers; others can be set at any time, and take their place."""
        return list(self._layers)

    @layers.setter
    def layers(self, layers: Sequence[Image]) -> None:
        if obstacle := compare_obstacle(layers):
            raise SettingsError(obstacle)
        mode, linked = self.mode, self._unlink is not None
        self.share_contrast(False)
        if mode is not None:
            self._leave()
            self.mode = None
        self._layers = list(layers)
        if linked and link_obstacle(layers) is None:
            self.share_contrast(True)
        if mode is not None:
            getattr(self, mode.replace(" ", "_"))()  # a mode is the name of its method

    @property
    def shown(self) -> Image | None:
        """The layer that blink shows."""
        return self._layers[self._index] if self.mode == "blink" else None

    @property
    def is_blinking(self) -> bool:
        """Whether the next layer comes by itself."""
        return bool(self._timer.isActive())

    def side_by_side(self) -> None:
        """Show each layer in a cell of its own, all at the same place and zoom."""
        self._enter("side by side")
        self._undo_mode.callback(show_cells(self._viewer, self._layers))
        for layer in self._layers:
            layer.name_overlay.visible = True
        self._begin()

    def blink(self, period: float | None = None) -> None:
        """Show one layer after the other in the same place.

        `period` is in seconds, brought within `PERIODS`; None keeps the one before.
        """
        if self.mode != "blink":
            self._enter("blink")
            for layer in self._layers:
                layer.name_overlay.visible = True
            self._index = 0
            self._show_one()
        if period is not None:
            self._timer.setInterval(round(1000 * float(np.clip(period, *PERIODS))))
        self._timer.start()
        self._begin()

    def pause(self) -> None:
        """Stay with the layer that blink shows."""
        self._timer.stop()
        self.changed.emit()

    def step(self, by: int = 1) -> None:
        """Show the next layer, or with -1 the one before, and stay there."""
        if self.mode != "blink":
            self.blink()
        self._timer.stop()
        self._turn(by)

    def swipe(
        self,
        position: float | None = None,
        *,
        left: Image | None = None,
        right: Image | None = None,
    ) -> None:
        """Show one layer left of a line and one right of it.

        The line is at world x, by default where it was, or in the middle of the canvas;
        the layers are the first and the last one compared by default. A `SettingsError`
        says why the view cannot be swiped.
        """
        left = self._layers[0] if left is None else left
        right = self._layers[-1] if right is None else right
        if obstacle := swipe_obstacle(self._viewer):
            raise SettingsError(obstacle)
        if left == right:
            raise SettingsError(
                f"{left.name} stands on both sides of the line; choose two layers."
            )
        self._enter("swipe")
        name_sides(self._viewer, left, right)
        place = self._last if position is None else position
        self.line = Swipe(self._viewer, left, right, place)
        # at an edge: the camera has gone elsewhere since
        if position is None and self.line.fraction in (0.0, 1.0):
            self.line.fraction = 0.5
        self.line.moved.connect(self.moved)
        self._begin()

    def share_contrast(self, wanted: bool) -> None:
        """Give all layers the contrast and gamma of the first, or their own again.

        A `SettingsError` says why layers cannot share it.
        """
        if self._unlink is not None:
            self._unlink()
            self._unlink = None
        if not wanted:
            return
        if obstacle := link_obstacle(self._layers):
            raise SettingsError(obstacle)
        self._unlink = share_contrast(self._layers)

    def end(self) -> None:
        """Show the viewer as it was before."""
        self._under_way.discard(self)
        # the window may be gone, and the layers outlive it
        if not isalive(self):  # type: ignore[no-untyped-call]
            return
        self.share_contrast(False)
        if self.mode is None:
            return
        self._leave()
        self.mode = self._before = self._last = None
        self._undo_all.close()
        self.ended.emit()

    def _enter(self, mode: Mode) -> None:
        if self._before is None:
            for other in list(self._under_way):
                if list(other._viewer.layers) == list(self._viewer.layers):
                    other.end()
            self._under_way.add(self)
            self._before = ViewerSnapshot(self._viewer)
            self._undo_all.callback(self._before.restore_view)
            layers = self._viewer.layers.events
            for signal, slot, order in (
                # after napari itself, which takes a layer off the canvas
                (layers.removed, self._on_removed, "last"),
                (layers.inserted, self._on_inserted, "first"),
                (self._viewer.dims.events.ndisplay, self._on_ndisplay, "first"),
            ):
                signal.connect(slot, position=order)
                self._undo_all.callback(signal.disconnect, slot)
            self._viewer.canvas.grid.enabled = False
            keys: dict[str, Callable[[], None]] = {
                "Escape": self.end,
                ",": lambda: self._go(-1),
                ".": lambda: self._go(1),
            }
            self._undo_all.callback(bind_keys(self._viewer, keys))
        elif self.mode is not None:
            self._leave()
        self.mode = mode

    def _begin(self) -> None:
        # only now is the grid the user's: a mode turns it on or off itself
        grid = self._viewer.canvas.grid.events.enabled
        # the next period of blink comes here again
        grid.disconnect(self._on_grid)
        grid.connect(self._on_grid)
        self.changed.emit()

    def _leave(self) -> None:
        # layers come back with each mode, the camera only at the end
        self._viewer.canvas.grid.events.enabled.disconnect(self._on_grid)
        self._timer.stop()
        if self.line is not None:
            self._last = self.line.position
            self.line.remove()
            self.line.deleteLater()
            self.line = None
        self._undo_mode.close()
        if self._before is not None:
            self._before.restore_layers()

    def _turn(self, by: int = 1) -> None:
        self._index = (self._index + by) % len(self._layers)
        self._show_one()
        self.changed.emit()

    def _show_one(self) -> None:
        shown = self._layers[self._index]
        # before the last one goes, or the canvas would flash
        shown.visible = True
        for layer in self._viewer.layers:
            if layer != shown and layer.visible:
                layer.visible = False

    def _go(self, by: int) -> None:
        if self.mode == "blink":
            self.step(by)
        elif self.line is not None:
            self.line.fraction += by * _STEP

    def _on_removed(self, event: Any) -> None:
        if event.value in self._layers:
            self.end()
        elif self._before is not None:
            self._before.layers.pop(event.value, None)

    def _on_inserted(self, event: Any) -> None:
        if self._before is not None:
            self._before.add(event.value)
        # an image would cover what is compared
        if isinstance(event.value, Image):
            event.value.visible = False

    def _on_ndisplay(self) -> None:
        if self.mode == "swipe" and swipe_obstacle(self._viewer):
            self.end()

    def _on_grid(self) -> None:
        # the end brings the grid of before back, not the one just asked for
        wanted = self._viewer.canvas.grid.enabled
        self.end()
        self._viewer.canvas.grid.enabled = wanted
