"""The line between two layers: what is seen on either side, and how it moves."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication
from scenes import noise, shot, show

from napari_structsr.gui.compare.comparison import LayerComparison
from napari_structsr.gui.compare.swipe import Swipe, canvas_of, swipe_obstacle

CLOSE = 1e-6
NAMES = 50  # rows of the canvas in which the names stand
LINE = 14  # columns on either side of the line, the knob included


@pytest.fixture
def canvas(viewer, qtbot):
    show(viewer, qtbot)
    return canvas_of(viewer)


def add(viewer, kind: str):
    """Add a layer of some kind that covers the field of the source."""
    fine = noise((160, 200))
    place = {"scale": (0.25, 0.25), "translate": (-0.375, -0.375)}
    if kind == "multiscale, additive":
        levels = [fine, fine[::2, ::2], fine[::4, ::4]]
        return viewer.add_image(
            levels, contrast_limits=(0, 4000), blending="additive", **place
        )
    if kind == "colour":
        colour = np.stack([fine, fine[::-1], fine[:, ::-1]], axis=-1)
        return viewer.add_image((colour // 16).astype(np.uint8), **place)
    if kind == "rotated":
        place["rotate"] = 25
        return viewer.add_image(fine, contrast_limits=(0, 4000), **place)
    large = np.full((2, canvas_of(viewer).max_texture_sizes[0] + 100), 900, np.uint16)
    return viewer.add_image(large, scale=(20, 50 / large.shape[1]))


def alone(viewer, layer) -> np.ndarray:
    """Return the canvas with one layer."""
    for other in viewer.layers:
        other.visible = other == layer
    return shot(viewer)


def check(pixels, left, right, column) -> None:
    """Check that the canvas shows one layer left of a column and one right of it."""
    body = slice(NAMES, None)
    before, after = slice(0, column - LINE), slice(column + LINE, None)
    np.testing.assert_allclose(pixels[body, before], left[body, before], atol=CLOSE)
    np.testing.assert_allclose(pixels[body, after], right[body, after], atol=CLOSE)


@pytest.mark.parametrize("kind", ["multiscale, additive", "colour", "rotated", "large"])
def test_each_side_looks_as_its_layer_alone(viewer, canvas, kind):
    source = viewer.add_image(noise((40, 50)), colormap="green")
    other = add(viewer, kind)
    viewer.scene.camera.center = (19.5, 24.5)
    viewer.scene.camera.zoom = 9
    left, right = alone(viewer, source), alone(viewer, other)
    assert (left != right).any(axis=-1)[NAMES:].mean() > 0.3

    comparison = LayerComparison(viewer, [source, other])
    comparison.swipe(position=30.0)
    pixels = shot(viewer)

    middle = pixels.shape[1] / 2
    check(pixels, left, right, round(middle + (30.0 - 24.5) * 9))
    comparison.end()
    np.testing.assert_allclose(shot(viewer), right, atol=CLOSE)


def test_it_follows_the_camera_and_the_planes(viewer, canvas):
    stack = noise((3, 40, 50))
    source = viewer.add_image(stack, colormap="green")
    other = viewer.add_image(stack[::-1].copy())
    viewer.dims.set_point(0, 0)
    swipe = Swipe(viewer, source, other, 20.0)

    viewer.dims.set_point(0, 1)
    viewer.scene.camera.center = (22.0, 22.0)
    viewer.scene.camera.zoom = 12
    pixels = shot(viewer)
    assert swipe.position == 20.0
    swipe.remove()

    left, right = alone(viewer, source), alone(viewer, other)
    check(pixels, left, right, round(pixels.shape[1] / 2 - 2 * 12))


def test_the_cut_stays_when_napari_draws_the_layer_anew(viewer, canvas):
    source = viewer.add_image(noise((40, 50)), colormap="green")
    other = viewer.add_image(noise((40, 50))[::-1].copy())
    swipe = Swipe(viewer, source, other, 24.5)

    width = canvas.max_texture_sizes[0] + 100  # drawn in tiles from now on
    other.data = np.full((40, width), 900, np.uint16)
    other.scale = (1, 50 / width)
    pixels = shot(viewer)
    swipe.remove()

    left, right = alone(viewer, source), alone(viewer, other)
    check(pixels, left, right, pixels.shape[1] // 2)


def test_left_is_left_when_x_grows_to_the_left(viewer, canvas):
    source = viewer.add_image(noise((40, 50)), colormap="green")
    other = viewer.add_image(noise((40, 50))[::-1].copy())
    viewer.scene.camera.orientation2d = ("down", "left")
    swipe = Swipe(viewer, source, other)
    swipe.fraction = 0.25
    pixels = shot(viewer)
    swipe.remove()

    assert swipe.position > 24.5
    left, right = alone(viewer, source), alone(viewer, other)
    check(pixels, left, right, round(pixels.shape[1] / 4))


class Mouse:
    """Moves over the canvas as a hand does."""

    def __init__(self, canvas, qtbot) -> None:
        self.widget, self.qtbot = canvas.native, qtbot
        self.pressed = Qt.MouseButton.NoButton

    def send(self, kind, x: float, button=Qt.MouseButton.NoButton) -> None:
        at = QPointF(x, 200)
        globally = self.widget.mapToGlobal(at)
        none = Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, at, globally, button, self.pressed, none)
        QApplication.sendEvent(self.widget, event)
        self.qtbot.wait(15)  # napari thins out what comes faster

    def drag(self, start: float, stop: float) -> None:
        left = Qt.MouseButton.LeftButton
        self.move(start)
        self.pressed = left
        self.send(QEvent.Type.MouseButtonPress, start, left)
        for x in np.linspace(start, stop, 5):
            self.move(x)
        self.pressed = Qt.MouseButton.NoButton
        self.send(QEvent.Type.MouseButtonRelease, stop, left)

    def move(self, x: float) -> None:
        self.send(QEvent.Type.MouseMove, x)


def test_dragging_moves_the_line_and_nothing_else(viewer, canvas, qtbot):
    source = viewer.add_image(noise((40, 50)), colormap="green")
    other = viewer.add_image(noise((40, 50))[::-1].copy())
    swipe = Swipe(viewer, source, other)
    width = viewer.canvas.size[1]
    center = viewer.scene.camera.center
    mouse = Mouse(canvas, qtbot)

    mouse.move(width / 2 + 3)
    assert viewer.cursor.style == "pointing"
    mouse.drag(width / 2 + 3, width / 4)

    assert swipe.fraction == pytest.approx(0.25, abs=0.01)
    assert viewer.scene.camera.center == center
    assert viewer.scene.camera.mouse_pan
    pixels = shot(viewer)

    mouse.drag(width / 2, width / 2 + 60)  # far from the line, it is the camera's
    assert viewer.scene.camera.center != center
    assert viewer.cursor.style == "standard"
    viewer.scene.camera.center = center
    swipe.remove()
    left, right = alone(viewer, source), alone(viewer, other)
    check(pixels, left, right, round(width / 4))


def test_nothing_is_left_of_it(viewer, canvas):
    source = viewer.add_image(noise((40, 50)), colormap="green")
    other = viewer.add_image(noise((40, 50))[::-1].copy())
    scene = canvas.view.scene
    before = (
        shot(viewer),
        len(scene.children),
        len(viewer.mouse_drag_callbacks),
        len(viewer.mouse_move_callbacks),
    )

    Swipe(viewer, source, other).remove()

    np.testing.assert_allclose(shot(viewer), before[0], atol=CLOSE)
    assert len(scene.children) == before[1]
    assert len(viewer.mouse_drag_callbacks) == before[2]
    assert len(viewer.mouse_move_callbacks) == before[3]


def test_what_cannot_be_swiped_is_said(viewer):
    from napari.components import ViewerModel

    assert swipe_obstacle(viewer) is None
    viewer.dims.ndisplay = 3
    assert "2D view" in swipe_obstacle(viewer)
    assert "window" in swipe_obstacle(ViewerModel())
