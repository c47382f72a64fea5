"""The preview in a real viewer: it follows what is looked at, in a frame."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scenes import beads, noise, shot, show

from napari_structsr.gui.compare.swipe import canvas_of

TIMEOUT = 30_000


def preview_of(viewer):
    return next((la for la in viewer.layers if la.name.startswith("preview")), None)


@pytest.fixture
def stack(viewer, dock, qtbot):
    """Show planes of 120 x 120 pixels of a stack, zoomed into their middle."""
    show(viewer, qtbot)
    layer = viewer.add_image(
        np.stack([noise((120, 120)), noise((120, 120))[::-1]]), name="cells"
    )
    viewer.dims.set_point(0, 0)
    look_at(viewer, (60, 60), width=50)
    qtbot.wait(50)
    return layer


def look_at(viewer, place, *, width: float) -> None:
    viewer.scene.camera.center = (0, *place)
    viewer.scene.camera.zoom = viewer.canvas.size[1] / width


def test_it_follows_plane_place_and_zoom_and_ends_with_a_click(
    viewer, dock, stack, qtbot
):
    dock.preview_button.click()
    qtbot.waitUntil(lambda: preview_of(viewer) is not None, timeout=TIMEOUT)

    def shows(plane: int, place: tuple[float, float]) -> bool:
        layer = preview_of(viewer)
        if layer is None:
            return False
        low, high = layer.extent.world
        middle = (low + high)[1:] / 2
        return bool(low[0] == plane and np.allclose(middle, place, atol=1.5))

    assert shows(0, (60, 60))
    viewer.dims.set_point(0, 1)
    qtbot.waitUntil(lambda: shows(1, (60, 60)), timeout=TIMEOUT)
    look_at(viewer, (70, 50), width=50)
    qtbot.waitUntil(lambda: shows(1, (70, 50)), timeout=TIMEOUT)
    wide = np.ptp(preview_of(viewer).extent.world, axis=0)
    look_at(viewer, (70, 50), width=30)
    qtbot.waitUntil(
        lambda: (
            preview_of(viewer) is not None
            and np.ptp(preview_of(viewer).extent.world, axis=0)[2] < 0.7 * wide[2]
        ),
        timeout=TIMEOUT,
    )
    assert dock.preview_button.isChecked()

    dock.preview_button.click()
    look_at(viewer, (60, 60), width=50)
    qtbot.wait(600)  # longer than a view takes to be at rest
    assert [layer.name for layer in viewer.layers] == ["cells"]
    assert not dock.preview_button.isChecked()


def test_its_frame_is_seen_and_around_it_what_was_measured(viewer, dock, stack, qtbot):
    before = shot(viewer)
    dock.preview_button.click()
    qtbot.waitUntil(lambda: preview_of(viewer) is not None, timeout=TIMEOUT)
    after = shot(viewer)

    red, green, blue = np.moveaxis(after, -1, 0)
    # yellow lines on grey pixels
    drawn = np.argwhere((red > 150) & (green > 150) & (blue < 120))
    (top, left), (bottom, right) = drawn.min(axis=0), drawn.max(axis=0)
    height, width = after.shape[:2]
    assert 0 < top < 0.2 * height
    assert 0 < left < 0.2 * width
    assert bottom - top > 0.6 * height
    assert right - left > 0.6 * width
    np.testing.assert_array_equal(after[: top - 3], before[: top - 3])
    assert (after[top + 9 : bottom - 9] != before[top + 9 : bottom - 9]).any()


def test_taking_its_layer_away_ends_it(viewer, dock, qtbot):
    cells = viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    for gone in ("preview ×2 bicubic", "cells"):
        viewer.layers.selection = {cells}
        dock.preview_button.click()
        qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
        viewer.layers.remove(gone)
        assert not dock.preview_button.isChecked()
    assert len(viewer.layers) == 0


def test_keys_of_the_window_upscale_and_preview(viewer, dock, qtbot):
    show(viewer, qtbot)
    viewer.window.activate()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is not None)
    canvas = canvas_of(viewer).native
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")

    # in this order: see `scenes.show`
    QTest.keyClick(canvas, Qt.Key.Key_F6)
    qtbot.waitUntil(lambda: "cells ×2 bicubic" in viewer.layers, timeout=TIMEOUT)
    viewer.layers.selection = {viewer.layers["cells"]}
    QTest.keyClick(canvas, Qt.Key.Key_F5)
    qtbot.waitUntil(lambda: preview_of(viewer) is not None, timeout=TIMEOUT)
    QTest.keyClick(canvas, Qt.Key.Key_F5)
    assert preview_of(viewer) is None

    viewer.window.remove_dock_widget(dock)
    QTest.keyClick(canvas, Qt.Key.Key_F5)
    assert preview_of(viewer) is None
    dock.deleteLater()
    qtbot.wait(20)
