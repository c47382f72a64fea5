"""Layers side by side, in turn, or left and right of a line.

It owns what is shown while layers are compared, and the way back: the first mode that
is entered notes how the viewer looks, and the end brings exactly that back.
`Comparison` has no widget and serves scripts as well as `ComparePanel`.

::

    nothing ──► side_by_side │ blink │ swipe ──► end ──► as it was
                      ▲───────────────┘ modes may follow each other

The end comes by itself when a compared layer is removed, or when the user turns the
grid of napari on or off. Images that come meanwhile wait for the end to be seen. While
the canvas has the focus, "," and "." go on by hand, and Escape ends. This object is a
child of the canvas or the panel, so that none of its timers outlives the window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_structsr.errors import SettingsError
from napari_structsr.gui.compare.blink import Blink
from napari_structsr.gui.compare.cells import show_cells
from napari_structsr.gui.compare.rules import compare_obstacle, link_obstacle
from napari_structsr.gui.compare.shared_contrast import share_contrast
from napari_structsr.gui.compare.snapshot import ViewerSnapshot, name_sides
from napari_structsr.gui.compare.swipe import Swipe, canvas_of, swipe_obstacle
from napari_structsr.gui.viewer.canvas_keys import bind_keys

__all__ = ["Comparison", "Mode"]

Mode = Literal["side by side", "blink", "swipe"]

_STEP = 0.05  # of the canvas, by which a key moves the line


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
        self._before: ViewerSnapshot | None = None
        self._take_cells: Callable[[], None] | None = None
        self._cut: Swipe | None = None
        self._last: float | None = None  # where the line was
        self._blink = Blink(viewer, self)
        self._blink.changed.connect(self.changed)
        self._unlink: Callable[[], None] | None = None
        self._give_keys_back: Callable[[], None] | None = None

    # -- what can be asked -------------------------------------------------------------

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
        return self._blink.shown if self._mode == "blink" else None

    @property
    def is_blinking(self) -> bool:
        """Whether the next layer comes by itself."""
        return self._blink.goes_on

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
        self._take_cells = show_cells(self._viewer, self._layers)
        for layer in self._layers:
            layer.name_overlay.visible = True
        self._begin()

    def blink(self, period: float | None = None) -> None:
        """Show one layer after the other in the same place.

        Parameters
        ----------
        period
            Seconds for which a layer is shown, see `Blink.start`.
        """
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
        self._cut = Swipe(self._viewer, left, right, place)
        if position is None and self._cut.fraction in (0.0, 1.0):
            self._cut.fraction = 0.5  # the camera has gone elsewhere since
        self._cut.moved.connect(self.moved)
        self._begin()

    def share_contrast(self, wanted: bool) -> None:
        """Give all layers the contrast and gamma of the first, or their own again.

        Changing one layer changes all, until this is taken back or the end comes.

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
        self._mode = None
        events = self._viewer.layers.events
        events.removed.disconnect(self._on_removed)
        events.inserted.disconnect(self._on_inserted)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        if self._before is not None:
            self._before.give_view()
            self._before = None
        if self._give_keys_back is not None:
            self._give_keys_back()
            self._give_keys_back = None
        self._last = None
        self.ended.emit()

    # -- from one mode to the next -----------------------------------------------------

    def _enter(self, mode: Mode) -> None:
        """Note how the viewer looks, or leave the mode before."""
        if self._before is None:
            self._before = ViewerSnapshot(self._viewer)
            events = self._viewer.layers.events
            events.removed.connect(self._on_removed, position="last")
            events.inserted.connect(self._on_inserted)
            self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)
            self._viewer.canvas.grid.enabled = False
            self._give_keys_back = bind_keys(
                self._viewer,
                {
                    "Escape": self.end,
                    ",": partial(self._go, -1),
                    ".": partial(self._go, 1),
                },
            )
        elif self._mode is not None:
            self._leave()
        self._mode = mode

    def _begin(self) -> None:
        """Tell that all is shown, and leave the grid to the user from now on."""
        grid = self._viewer.canvas.grid.events.enabled
        grid.disconnect(self._on_grid)  # at most once
        grid.connect(self._on_grid)
        self.changed.emit()

    def _leave(self) -> None:
        """Take away what a mode has brought, but keep the place that is looked at."""
        self._viewer.canvas.grid.events.enabled.disconnect(self._on_grid)
        self._blink.stop()
        if self._cut is not None:
            self._last = self._cut.position
            self._cut.remove()
            self._cut.deleteLater()
            self._cut = None
        if self._take_cells is not None:
            self._take_cells()
            self._take_cells = None
        if self._before is not None:
            self._before.give()

    def _go(self, by: int) -> None:
        """Show the next layer, or move the line: what a key does."""
        if self._mode == "blink":
            self.step(by)
        elif self._mode == "swipe":
            self.fraction += by * _STEP

    # -- what others do meanwhile ------------------------------------------------------

    def _on_removed(self, event: Any) -> None:
        """End with the first compared layer that goes."""
        if event.value in self._layers:
            self.end()
        elif self._before is not None:
            self._before.forget(event.value)

    def _on_inserted(self, event: Any) -> None:
        """Note how a new layer looks; an image would cover what is compared."""
        if self._before is not None:
            self._before.note(event.value)
        if isinstance(event.value, Image):
            event.value.visible = False

    def _on_ndisplay(self) -> None:
        """End a swipe where it has no meaning."""
        if self._mode == "swipe" and swipe_obstacle(self._viewer):
            self.end()

    def _on_grid(self) -> None:
        """End when the user wants another layout, and give it."""
        wanted = self._viewer.canvas.grid.enabled
        self.end()
        self._viewer.canvas.grid.enabled = wanted
