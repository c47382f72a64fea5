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
from typing import Any, Literal

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_structsr.errors import SettingsError
from napari_structsr.gui.compare.blink import Blink
from napari_structsr.gui.compare.rules import compare_obstacle, link_obstacle
from napari_structsr.gui.compare.snapshot import (
    ViewerSnapshot,
    bind_keys,
    name_sides,
    share_contrast,
    show_cells,
)
from napari_structsr.gui.compare.swipe import Swipe, canvas_of, swipe_obstacle

__all__ = ["LayerComparison", "Mode"]

Mode = Literal["side by side", "blink", "swipe"]

_STEP = 0.05  # of the canvas, by which a key moves the line


class LayerComparison(QObject):
    """Shows layers of a viewer in comparison, until the end.

    Parameters
    ----------
    viewer
        The viewer of the layers.
    layers
        Two or more images, in the order in which they are shown; a `SettingsError`
        says what keeps them from being compared.
    parent
        Object with which the comparison ends; the canvas of the viewer by default.
    """

    changed = Signal()
    """Another mode, or another layer visible."""
    moved = Signal(float)
    """The share of the canvas left of the line of a swipe has changed."""
    ended = Signal()
    """The viewer looks as before."""

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
        self._mode: Mode | None = None
        self._before: ViewerSnapshot | None = None
        self._undo_mode, self._undo_all = ExitStack(), ExitStack()
        self._swipe: Swipe | None = None
        self._last: float | None = None  # where the line was
        self._blink = Blink(viewer, self)
        self._blink.changed.connect(self.changed)
        self._unlink: Callable[[], None] | None = None

    @property
    def layers(self) -> list[Image]:
        """The compared layers; others can be set at any time, and take their place."""
        return list(self._layers)

    @layers.setter
    def layers(self, layers: Sequence[Image]) -> None:
        if obstacle := compare_obstacle(layers):
            raise SettingsError(obstacle)
        mode, linked = self._mode, self._unlink is not None
        self.share_contrast(False)
        if mode is not None:
            self._leave()
            self._mode = None
        self._layers = list(layers)
        if linked and link_obstacle(layers) is None:
            self.share_contrast(True)
        if mode is not None:
            getattr(self, mode.replace(" ", "_"))()  # a mode is the name of its method

    @property
    def mode(self) -> Mode | None:
        """What is being done; None before the beginning and after the end."""
        return self._mode

    @property
    def shown(self) -> Image | None:
        """The layer that blink shows."""
        return self._blink.shown if self._mode == "blink" else None

    @property
    def is_blinking(self) -> bool:
        """Whether the next layer comes by itself."""
        return self._blink.goes_on

    @property
    def line(self) -> Swipe | None:
        """The line of a swipe: `position` is its world x, and can be set."""
        return self._swipe

    def side_by_side(self) -> None:
        """Show each layer in a cell of its own, all at the same place and zoom."""
        self._enter("side by side")
        self._undo_mode.callback(show_cells(self._viewer, self._layers))
        for layer in self._layers:
            layer.name_overlay.visible = True
        self._begin()

    def blink(self, period: float | None = None) -> None:
        """Show one layer after the other in the same place; see `Blink.start`."""
        if self._mode != "blink":
            self._enter("blink")
            for layer in self._layers:
                layer.name_overlay.visible = True
            self._blink.show_first(self._layers)
        self._blink.start(period)
        self._begin()

    def pause(self) -> None:
        """Stay with the layer that blink shows."""
        self._blink.stop()
        self.changed.emit()

    def step(self, by: int = 1) -> None:
        """Show the next layer, or with -1 the one before, and stay there."""
        if self._mode != "blink":
            self.blink()
        self._blink.stop()
        self._blink.step(by)

    def swipe(
        self,
        position: float | None = None,
        *,
        left: Image | None = None,
        right: Image | None = None,
    ) -> None:
        """Show one layer left of a line and one right of it.

        Parameters
        ----------
        position
            World x of the line; by default where it was, or the middle of the canvas.
        left, right
            The layers; by default the first and the last one compared.

        Raises
        ------
        SettingsError
            If the view cannot be swiped, or if both sides show the same layer.
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
        self._swipe = Swipe(self._viewer, left, right, place)
        if position is None and self._swipe.fraction in (0.0, 1.0):
            self._swipe.fraction = 0.5  # the camera has gone elsewhere since
        self._swipe.moved.connect(self.moved)
        self._begin()

    def share_contrast(self, wanted: bool) -> None:
        """Give all layers the contrast and gamma of the first, or their own again.

        Raises
        ------
        SettingsError
            If the layers cannot share it; see `link_obstacle`.
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
        # the window may be gone, and the layers outlive it
        if not isalive(self):  # type: ignore[no-untyped-call]
            return
        self.share_contrast(False)
        if self._mode is None:
            return
        self._leave()
        self._mode = self._before = self._last = None
        self._undo_all.close()
        self.ended.emit()

    def _enter(self, mode: Mode) -> None:
        if self._before is None:
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
        elif self._mode is not None:
            self._leave()
        self._mode = mode

    def _begin(self) -> None:
        """Tell that all is shown, and leave the grid to the user from now on."""
        grid = self._viewer.canvas.grid.events.enabled
        grid.disconnect(self._on_grid)  # at most once
        # not before: a mode turns the grid on or off itself
        grid.connect(self._on_grid)
        self.changed.emit()

    def _leave(self) -> None:
        """Take away what a mode has brought, but keep the place that is looked at."""
        self._viewer.canvas.grid.events.enabled.disconnect(self._on_grid)
        self._blink.stop()
        if self._swipe is not None:
            self._last = self._swipe.position
            self._swipe.remove()
            self._swipe.deleteLater()
            self._swipe = None
        self._undo_mode.close()
        if self._before is not None:
            self._before.restore_layers()

    def _go(self, by: int) -> None:
        """Show the next layer, or move the line: what a key does."""
        if self._mode == "blink":
            self.step(by)
        elif self._swipe is not None:
            self._swipe.fraction += by * _STEP

    def _on_removed(self, event: Any) -> None:
        """End with the first compared layer that goes."""
        if event.value in self._layers:
            self.end()
        elif self._before is not None:
            self._before.forget(event.value)

    def _on_inserted(self, event: Any) -> None:
        if self._before is not None:
            self._before.add(event.value)
        if isinstance(event.value, Image):  # it would cover what is compared
            event.value.visible = False

    def _on_ndisplay(self) -> None:
        if self._mode == "swipe" and swipe_obstacle(self._viewer):
            self.end()

    def _on_grid(self) -> None:
        """End when the user wants another layout, and give it."""
        wanted = self._viewer.canvas.grid.enabled
        self.end()
        self._viewer.canvas.grid.enabled = wanted
