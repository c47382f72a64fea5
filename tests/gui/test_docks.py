"""Docks as napari opens them: at once, whatever they are made of."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from napari._app_model import get_app_model
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget
from scenes import pair, show

from napari_structsr.gui.docks import OpeningError, OpeningUpscale
from napari_structsr.gui.inspect.dock import ErrorDock
from napari_structsr.gui.upscale.dock import UpscaleDock

TIMEOUT = 60_000
_ASK = """
import sys
import napari
from napari_structsr.gui import contributions, docks, sample_data
print(sorted({"dask.array", "zarr", "torch", "pandas", "scipy.fft"} & set(sys.modules)))
"""


def wait_for_dock(viewer, kind, qtbot):
    def find():
        return [d for d in viewer.window.dock_widgets.values() if isinstance(d, kind)]

    qtbot.waitUntil(lambda: bool(find()), timeout=TIMEOUT)
    return find()


def test_what_napari_waits_for_imports_nothing_slow():
    run = [sys.executable, "-c", _ASK]
    text = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert text.strip() == "[]"


def test_a_dock_takes_the_place_that_was_held_for_it(viewer, qtbot):
    show(viewer, qtbot)
    frame, held = viewer.window.add_plugin_dock_widget("napari-structsr", "Upscale")
    assert [one.text() for one in held.findChildren(QLabel)] == ["Opening…"]

    [dock] = wait_for_dock(viewer, UpscaleDock, qtbot)

    assert frame.widget() is dock
    assert dock.isVisible()
    assert dock.run_button.toolTip() == "Select one or more image layers."
    # napari finds it, and lets go of it
    again = viewer.window.add_plugin_dock_widget("napari-structsr", "Upscale")
    assert again == (frame, dock)
    viewer.window.remove_dock_widget(frame)
    assert not viewer.window.dock_widgets
    viewer.add_image(np.eye(4))  # followed by no dock that is gone


def test_a_dock_that_is_closed_while_it_opens_stays_closed(viewer, qtbot):
    show(viewer, qtbot)
    frame, _ = viewer.window.add_plugin_dock_widget("napari-structsr", "Upscale")
    viewer.window.remove_dock_widget(frame)

    qtbot.wait(300)

    assert not viewer.window.dock_widgets
    viewer.add_image(np.eye(4))


def test_a_dock_opens_inside_a_widget_of_a_script(viewer, qtbot):
    outer = QWidget()
    held = OpeningUpscale(viewer)
    QVBoxLayout(outer).addWidget(held)
    viewer.window.add_dock_widget(outer, name="mine")

    qtbot.waitUntil(lambda: bool(outer.findChildren(UpscaleDock)), timeout=TIMEOUT)

    held.setParent(None)
    viewer.add_image(np.eye(4))


def test_two_menus_that_are_clicked_at_once_open_one_dock(viewer, qtbot):
    viewer.layers.selection = set(pair(viewer))
    show(viewer, qtbot)
    for command in ("error_dock", "compare_selected"):
        get_app_model().commands.execute_command(f"napari-structsr.{command}")

    [dock] = wait_for_dock(viewer, ErrorDock, qtbot)

    assert dock.compare.comparison is not None
    dock.compare.end()


def test_why_a_dock_does_not_open_stands_in_its_place(
    viewer, qtbot, monkeypatch, notifications
):
    monkeypatch.setattr(OpeningError, "module", "napari_structsr.gui.missing")
    _, held = viewer.window.add_plugin_dock_widget("napari-structsr", "Structure error")

    qtbot.waitUntil(lambda: bool(notifications()), timeout=TIMEOUT)

    [label] = held.findChildren(QLabel)
    assert "missing" in label.text()


def test_the_icon_of_a_dock_can_be_seen_in_every_theme(viewer, qtbot):
    show(viewer, qtbot)
    frame, _ = viewer.window.add_plugin_dock_widget("napari-structsr", "Upscale")
    wait_for_dock(viewer, UpscaleDock, qtbot)

    def brightness() -> int:
        image = frame.windowIcon().pixmap(64, 64).toImage()
        # a place on the filament
        return image.pixelColor(32, 33).lightness()

    viewer.theme = "dark"
    qtbot.waitUntil(lambda: brightness() > 150)
    viewer.theme = "light"
    qtbot.waitUntil(lambda: brightness() < 100)
