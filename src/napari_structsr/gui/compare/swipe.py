"""Two layers in one place, cut along a vertical line that can be dragged.

It owns the cut, the line on the canvas and the gesture that moves it. The cut is a
filter of vispy, hung on what the canvas draws for a layer. It works in world
coordinates, so that levels, pixel sizes, colour and rotation need no thought, and
follows the camera by itself::

    left  visible where  x <= position        world x, the last displayed dimension
    right visible where  x >= position

For that the canvas is asked for, which napari keeps to itself. `canvas_of` is the only
place that knows where it is; without it there is a sentence instead of a swipe.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from vispy.scene.visuals import InfiniteLine, Markers
from vispy.visuals.filters.clipping_planes import PlanesClipper

_REACH = 8  # canvas pixels from the line within which it is grabbed
_ABOVE = 10**5  # drawing order: above all layers, below the scale bar


def canvas_of(viewer: Viewer) -> Any | None:
    """Return what draws the layers of a viewer; None if it has no window."""
    bare = getattr(viewer, "__wrapped__", viewer)
    try:
        canvas = bare.window._qt_viewer.canvas
        return canvas if hasattr(canvas, "layer_to_visual") else None
    except (AttributeError, RuntimeError):
        return None


def swipe_obstacle(viewer: Viewer) -> str | None:
    """Say in words why nothing can be swiped in a viewer; None if it can."""
    if viewer.dims.ndisplay != 2:
        return "A swipe needs the 2D view; leave the 3D view first."
    if canvas_of(viewer) is None:
        return "A swipe needs the window of napari 0.9; use blink instead."
    return None


class Swipe(QObject):
    """A cut between two visible layers, along a line at world x.

    It needs a viewer without `swipe_obstacle`, and begins in the middle of the canvas.
    """

    moved = Signal(float)
    """The share of the canvas left of the line has changed."""

    def __init__(
        self, viewer: Viewer, left: Image, right: Image, position: float | None = None
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._camera = viewer.scene.camera
        canvas = canvas_of(viewer)
        self._cuts = (_Cut(canvas, left, -1), _Cut(canvas, right, 1))
        self._line = _Line(canvas)
        self._pointing = False
        for signal in self._followed():
            signal.connect(self._follow)
        # last: napari turns the view before
        viewer.dims.events.order.connect(self._centre, position="last")
        viewer.mouse_drag_callbacks.append(self._drag)
        viewer.mouse_move_callbacks.append(self._hover)
        self._position = 0.0
        if position is None:
            self.fraction = 0.5
        else:
            self.position = position

    @property
    def position(self) -> float:
        """World x of the line."""
        return self._position

    @position.setter
    def position(self, value: float) -> None:
        self._position = float(value)
        for cut in self._cuts:
            cut.place(self._position, mirrored=self._mirrored)
        self._follow()

    @property
    def fraction(self) -> float:
        """Share of the canvas left of the line, 0 to 1; the line may lie outside."""
        start, stop = self._edges()
        return float(np.clip((self._position - start) / (stop - start), 0, 1))

    @fraction.setter
    def fraction(self, value: float) -> None:
        start, stop = self._edges()
        self.position = start + float(np.clip(value, 0, 1)) * (stop - start)

    def remove(self) -> None:
        """Show both layers whole again."""
        for signal in self._followed():
            signal.disconnect(self._follow)
        self._viewer.dims.events.order.disconnect(self._centre)
        self._viewer.mouse_drag_callbacks.remove(self._drag)
        self._viewer.mouse_move_callbacks.remove(self._hover)
        self._point(False)
        self._line.remove()
        for cut in self._cuts:
            cut.remove()

    def _followed(self) -> tuple[Any, ...]:
        """Return the events after which the line is elsewhere on the canvas."""
        camera = self._camera.events
        size = self._viewer.canvas.events.size
        return camera.center, camera.zoom, camera.orientation, size

    def _follow(self) -> None:
        """Keep the knob in the middle of the line, and tell where the line is."""
        self._line.place(self._position, float(self._camera.center[-2]))
        self.moved.emit(self.fraction)

    def _centre(self) -> None:
        # x is another dimension now, so that the place means nothing
        self.fraction = 0.5

    @property
    def _mirrored(self) -> bool:
        """Whether world x grows to the left."""
        return str(self._camera.orientation2d[1]) == "left"

    def _edges(self) -> tuple[float, float]:
        """Return world x at the left and right edge of the canvas."""
        middle = float(self._camera.center[-1])
        half = self._viewer.canvas.size[1] / self._camera.zoom / 2
        if self._mirrored:
            half = -half
        return middle - half, middle + half

    def _is_near(self, event: Any) -> bool:
        offset = self._x_of(event) - self._position
        return bool(abs(offset) * self._camera.zoom <= _REACH)

    def _x_of(self, event: Any) -> float:
        return float(event.position[self._viewer.dims.displayed[-1]])

    def _hover(self, viewer: Viewer, event: Any) -> None:
        self._point(self._is_near(event))

    def _point(self, near: bool) -> None:
        # a tool of napari keeps its own cursor
        cursor = self._viewer.cursor
        if near and not self._pointing and cursor.style == "standard":
            cursor.style, self._pointing = "pointing", True
        elif not near and self._pointing:
            cursor.style, self._pointing = "standard", False

    def _drag(self, viewer: Viewer, event: Any) -> Iterator[None]:
        if event.button != 1 or event.modifiers or not self._is_near(event):
            return
        # the drag would pan the view as well
        pans, self._camera.mouse_pan = self._camera.mouse_pan, False
        event.handled = True
        yield
        while event.type == "mouse_move":
            start, stop = sorted(self._edges())
            self.position = min(max(self._x_of(event), start), stop)
            event.handled = True
            yield
        self._camera.mouse_pan = pans


class _Cut:
    """One layer, cut by a plane."""

    def __init__(self, canvas: Any, layer: Image, side: int) -> None:
        self._canvas = canvas
        self._layer = layer
        self._side = side
        # napari clips volumes, points and surfaces by planes, but not images in the 2D
        # view, whatever `experimental_clipping_planes` says (0.9)
        self._filter = PlanesClipper()
        self._nodes: list[Any] = []
        # napari draws a layer by another node when its type or size changes
        layer.events.set_data.connect(self._attach, position="last")
        self._attach()

    def place(self, x: float, *, mirrored: bool) -> None:
        normal = (-self._side if mirrored else self._side, 0, 0)
        self._filter.clipping_planes = np.array([[(x, 0, 0), normal]], dtype=float)
        for node in self._nodes:
            node.update()

    def remove(self) -> None:
        self._layer.events.set_data.disconnect(self._attach)
        self._detach()

    def _attach(self) -> None:
        visual = self._canvas.layer_to_visual.get(self._layer)
        if visual is None:
            return
        node = visual.node
        # an image larger than a texture is drawn in tiles
        nodes = list(getattr(node, "adopted_children", [node]))
        if nodes != self._nodes:
            self._detach()
            for node in nodes:
                node.attach(self._filter)
            self._nodes = nodes

    def _detach(self) -> None:
        for node in self._nodes:
            node.detach(self._filter)
            node.update()
        self._nodes = []


class _Line:
    """The line and its knob on the canvas; no layer, and gone with the swipe."""

    def __init__(self, canvas: Any) -> None:
        scene = canvas.view.scene
        self._lines = [
            InfiniteLine(0.0, color=color, line_width=width, parent=scene)
            for color, width in (((0, 0, 0, 0.6), 4.0), ((1, 1, 1, 1), 1.5))
        ]
        self._knob = Markers(parent=scene)
        for order, node in enumerate((*self._lines, self._knob)):
            node.order = _ABOVE + order
        self._knob.set_gl_state("translucent", depth_test=False)

    def place(self, x: float, y: float) -> None:
        for line in self._lines:
            line.set_data(x)
            line.update()
        knob = {"face_color": "white", "edge_color": (0, 0, 0, 0.6)}
        self._knob.set_data(np.array([[x, y]]), size=16, edge_width=2, **knob)

    def remove(self) -> None:
        for node in (*self._lines, self._knob):
            # the canvas may be gone already
            with contextlib.suppress(RuntimeError):
                node.parent = None
