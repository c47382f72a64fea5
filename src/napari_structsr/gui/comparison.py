"""Layers side by side, in turn, or left and right of a line.

It owns what is shown while layers are compared, and the way back: the first mode that
is entered notes how the viewer looks, and the end brings exactly that back.
`Comparison` has no widget and serves scripts as well as `ComparePanel`.

::

    nothing ──► side_by_side │ blink │ swipe ──► end ──► as it was
                      ▲───────────────┘ modes may follow each other

The end comes by itself when a compared layer is removed. The timer of blink is a child
of this object, and this object one of the canvas or the panel, so that none outlives
the window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Literal

import numpy as np
from napari.experimental import layers_linked
from napari.layers import Image, Layer
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_structsr.errors import SettingsError
from napari_structsr.gui.comparable import (
    compare_obstacle,
    grid_shape,
    link_obstacle,
    world_box,
)
from napari_structsr.gui.looks import Look, contrast_of, view_of
from napari_structsr.gui.swipe import Swipe, canvas_of, swipe_obstacle

__all__ = ["PERIODS", "Comparison", "Mode"]

Mode = Literal["side by side", "blink", "swipe"]

PERIODS = (0.2, 2.0)
"""Shortest and longest time for which blink shows a layer, in seconds."""

_GAP = 4.0  # canvas pixels between the cells of a grid
_LETTER = 11.0  # canvas pixels that a letter of a name takes
_LINKED = ("contrast_limits", "gamma")
_OPAQUE = "translucent_no_depth"  # left of the line, nothing of the right layer shows


class Comparison(QObject):
    """Shows layers of a viewer in comparison, until the end.

    Parameters
    ----------
    viewer
        The viewer of the layers.
    layers
        Two or more images, in the order in which they are shown.
    parent
        Object with which the comparison ends; the canvas of the viewer by default.

    Raises
    ------
    SettingsError
        If the layers cannot be compared; see `compare_obstacle`.

    Examples
    --------
    >>> comparison = Comparison(viewer, viewer.layers[:2])  # doctest: +SKIP
    >>> comparison.swipe(position=30.0)  # doctest: +SKIP
    >>> comparison.end()  # doctest: +SKIP
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
        canvas = None if parent is not None else canvas_of(viewer)
        super().__init__(parent if canvas is None else canvas.native)
        if obstacle := compare_obstacle(layers):
            raise SettingsError(obstacle)
        self._viewer = viewer
        self._layers = list(layers)
        self._mode: Mode | None = None
        self._looks: dict[Layer, Look] = {}
        self._restore_view: Callable[[], None] | None = None
        self._cut: Swipe | None = None
        self._last: float | None = None  # where the line was
        self._shown = 0
        self._timer = QTimer(self)
        self._timer.setInterval(700)
        self._timer.timeout.connect(self._advance)
        self._link: ExitStack | None = None

    # -- what can be asked -------------------------------------------------------------

    @property
    def layers(self) -> list[Image]:
        """The compared layers; others can be set at any time, and take their place."""
        return list(self._layers)

    @layers.setter
    def layers(self, layers: Sequence[Image]) -> None:
        if obstacle := compare_obstacle(layers):
            raise SettingsError(obstacle)
        mode, linked = self._mode, self._link is not None
        self.share_contrast(False)
        if mode is not None:
            self._leave()
            self._mode = None
        self._layers = list(layers)
        if linked and link_obstacle(layers) is None:
            self.share_contrast(True)
        if mode == "side by side":
            self.side_by_side()
        elif mode == "blink":
            self.blink()
        elif mode == "swipe":
            self.swipe()

    @property
    def mode(self) -> Mode | None:
        """What is being done; None before the beginning and after the end."""
        return self._mode

    @property
    def shown(self) -> Image | None:
        """The layer that blink shows."""
        return self._layers[self._shown] if self._mode == "blink" else None

    @property
    def is_blinking(self) -> bool:
        """Whether the next layer comes by itself."""
        return bool(self._timer.isActive())

    @property
    def position(self) -> float | None:
        """World x of the line of a swipe."""
        return None if self._cut is None else self._cut.position

    @position.setter
    def position(self, value: float) -> None:
        if self._cut is not None:
            self._cut.position = value

    @property
    def fraction(self) -> float:
        """Share of the canvas left of the line of a swipe."""
        return 0.5 if self._cut is None else self._cut.fraction

    @fraction.setter
    def fraction(self, value: float) -> None:
        if self._cut is not None:
            self._cut.fraction = value

    # -- what can be done --------------------------------------------------------------

    def side_by_side(self) -> None:
        """Show each layer in a cell of its own, all at the same place and zoom."""
        self._enter("side by side")
        viewer, grid = self._viewer, self._viewer.canvas.grid
        low, high = world_box(self._layers[0])
        tall, wide = (high - low)[list(viewer.dims.displayed[-2:])]
        for layer in viewer.layers:
            layer.visible = layer in self._layers
        for layer in self._layers:
            layer.name_overlay.visible = True
        canvas = viewer.canvas.size
        grid.shape = grid_shape(
            len(self._layers),
            canvas=canvas,
            field=(max(tall, 1e-12), max(wide, 1e-12)),
        )
        grid.stride, grid.spacing = 1, _GAP
        grid.enabled = True
        cell = viewer.canvas.viewbox_size(viewer.layers)
        self._zoom_by(min(np.divide(cell, canvas)))
        self.changed.emit()

    def blink(self, period: float | None = None) -> None:
        """Show one layer after the other in the same place.

        Parameters
        ----------
        period
            Seconds for which a layer is shown, brought within `PERIODS`; by default
            as long as before, at first 0.7.
        """
        if self._mode != "blink":
            self._enter("blink")
            self._shown = 0
            for layer in self._layers:
                layer.name_overlay.visible = True
            self._show_one()
        if period is not None:
            self._timer.setInterval(round(1000 * float(np.clip(period, *PERIODS))))
        self._timer.start()
        self.changed.emit()

    def pause(self) -> None:
        """Stay with the layer that blink shows."""
        self._timer.stop()
        self.changed.emit()

    def step(self) -> None:
        """Show the next layer, and stay there."""
        if self._mode != "blink":
            self.blink()
        self._timer.stop()
        self._advance()

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
        for layer in self._viewer.layers:
            layer.visible = layer in (left, right)
        letters = len(left.name) + len(right.name)
        narrow = letters * _LETTER > self._viewer.canvas.size[1]
        other = "bottom_right" if narrow else "top_right"
        for layer, side in ((left, "top_left"), (right, other)):
            layer.blending = _OPAQUE
            layer.name_overlay.position = side
            layer.name_overlay.visible = True
        place = self._last if position is None else position
        self._cut = Swipe(self._viewer, left, right, place)
        if position is None and self._cut.fraction in (0.0, 1.0):
            self._cut.fraction = 0.5  # the camera has gone elsewhere since
        self._cut.moved.connect(self.moved)
        self.changed.emit()

    def share_contrast(self, wanted: bool) -> None:
        """Give all layers the contrast and gamma of the first, or their own again.

        Changing one layer changes all, until this is taken back or the end comes.

        Raises
        ------
        SettingsError
            If the layers cannot share it; see `link_obstacle`.
        """
        if self._link is not None:
            self._link.close()
            self._link = None
        if not wanted:
            return
        if obstacle := link_obstacle(self._layers):
            raise SettingsError(obstacle)
        # napari keeps weak references to what is linked: to layers, not to proxies
        layers = [getattr(layer, "__wrapped__", layer) for layer in self._layers]
        self._link = ExitStack()
        for layer in layers:
            self._link.callback(contrast_of(layer))
        for layer in layers[1:]:
            contrast_of(layers[0])(layer)
        self._link.enter_context(layers_linked(layers, _LINKED))

    def end(self) -> None:
        """Show the viewer as it was before."""
        # the window may be gone, and the layers outlive it
        if not isalive(self):  # type: ignore[no-untyped-call]
            return
        self.share_contrast(False)
        if self._mode is None:
            return
        self._leave()
        self._mode = None
        events = self._viewer.layers.events
        events.removed.disconnect(self._on_removed)
        events.inserted.disconnect(self._on_inserted)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        if self._restore_view is not None:
            self._restore_view()
            self._restore_view = None
        self._looks.clear()
        self._last = None
        self.ended.emit()

    # -- from one mode to the next -----------------------------------------------------

    def _enter(self, mode: Mode) -> None:
        """Note how the viewer looks, or leave the mode before."""
        if self._restore_view is None:
            self._looks = {layer: Look.of(layer) for layer in self._viewer.layers}
            self._restore_view = view_of(self._viewer)
            events = self._viewer.layers.events
            events.removed.connect(self._on_removed, position="last")
            events.inserted.connect(self._on_inserted)
            self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)
            self._viewer.canvas.grid.enabled = False
        elif self._mode is not None:
            self._leave()
        self._mode = mode

    def _leave(self) -> None:
        """Take away what a mode has brought, but keep the place that is looked at."""
        self._timer.stop()
        if self._cut is not None:
            self._last = self._cut.position
            self._cut.remove()
            self._cut.deleteLater()
            self._cut = None
        if self._mode == "side by side":
            viewer = self._viewer
            cell = viewer.canvas.viewbox_size(viewer.layers)
            viewer.canvas.grid.enabled = False
            self._zoom_by(1 / min(np.divide(cell, viewer.canvas.size)))
        for layer, look in self._looks.items():
            look.give(layer)

    def _zoom_by(self, factor: float) -> None:
        """Zoom, and keep the middle."""
        self._viewer.scene.camera.zoom *= float(factor)

    def _advance(self) -> None:
        """Show the next layer."""
        self._shown = (self._shown + 1) % len(self._layers)
        self._show_one()
        self.changed.emit()

    def _show_one(self) -> None:
        """Hide all layers but one; it appears before the last one goes."""
        shown = self._layers[self._shown]
        shown.visible = True
        for layer in self._viewer.layers:
            if layer != shown and layer.visible:
                layer.visible = False

    # -- what others do meanwhile ------------------------------------------------------

    def _on_removed(self, event: Any) -> None:
        """End with the first compared layer that goes."""
        if event.value in self._layers:
            self.end()
        else:
            self._looks.pop(event.value, None)

    def _on_inserted(self, event: Any) -> None:
        """Note how a new layer looks; it is shown as its maker wants."""
        self._looks[event.value] = Look.of(event.value)

    def _on_ndisplay(self) -> None:
        """End a swipe where it has no meaning."""
        if self._mode == "swipe" and swipe_obstacle(self._viewer):
            self.end()
