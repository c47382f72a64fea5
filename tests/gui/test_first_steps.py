"""The walk of docs/first-steps.md, clicked by mouse in a real window."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMenu, QScrollArea, QWidget
from scenes import show
from test_menus_and_keys import PLUGIN, find_actions, menu_bar

from napari_structsr.gui.inspect.dock import ErrorDock
from napari_structsr.gui.upscale.dock import UpscaleDock

TIMEOUT = 180_000
PAGE = Path(__file__).parents[2] / "docs" / "first-steps.md"


class Mouse:
    """Clicks what can be seen, and counts."""

    def __init__(self, qtbot) -> None:
        self.clicks, self._qtbot = 0, qtbot

    def click(self, widget: QWidget, place: QRect | None = None) -> None:
        area = widget.parent()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parent()
        if area is not None:
            area.ensureWidgetVisible(widget)  # the wheel is no click

        def find_place() -> QPoint:
            return (widget.rect() if place is None else place).center()

        # what is just opened is still being laid out
        self._qtbot.waitUntil(
            lambda: widget.visibleRegion().contains(find_place()), timeout=TIMEOUT
        )
        where = find_place()
        assert widget.isEnabled(), widget.toolTip()
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=where)
        self.clicks += 1

    def choose(self, bar: QWidget, *names: str) -> None:
        """Click the first and the last of a path of menus; the mouse opens others."""
        actions = find_actions(bar, list(names))
        self.click(bar, bar.actionGeometry(actions[0]))
        menu: QMenu = actions[0].menu()
        for action in actions[1:-1]:
            # what resting on it does
            place = menu.actionGeometry(action)
            menu.setActiveAction(action)
            menu = action.menu()
            if not menu.isVisible():
                menu.popup(bar.mapToGlobal(place.topRight() + QPoint(0, 20)))
        QTest.qWait(50)
        self.click(menu, menu.actionGeometry(actions[-1]))


def wait_for_dock(viewer, kind: type, qtbot) -> QWidget:
    def find() -> list[QWidget]:
        return [d for d in viewer.window.dock_widgets.values() if isinstance(d, kind)]

    qtbot.waitUntil(lambda: bool(find()), timeout=TIMEOUT)
    return find()[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_open_upscale_inspect_compare_decide(viewer, qtbot, notifications):
    show(viewer, qtbot)
    viewer.window.resize(1366, 768)
    bar, mouse = menu_bar(viewer), Mouse(qtbot)

    mouse.choose(bar, "File", "Open Sample", PLUGIN, "Cells, under-resolved (structsr)")
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=TIMEOUT)
    cells = viewer.layers[0]
    mouse.choose(bar, "Plugins", PLUGIN, "Upscale")
    dock = wait_for_dock(viewer, UpscaleDock, qtbot)
    qtbot.waitUntil(dock.run_button.isEnabled, timeout=TIMEOUT)

    mouse.click(dock.run_button)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
    assert viewer.layers[1].data.shape[1] == 2 * cells.data.shape[1]

    mouse.choose(bar, "Plugins", PLUGIN, "Structure error")
    error = wait_for_dock(viewer, ErrorDock, qtbot)
    qtbot.waitUntil(error.inspect.run_button.isEnabled, timeout=TIMEOUT)
    mouse.click(error.inspect.run_button)
    qtbot.waitUntil(lambda: error.maps.layer is not None, timeout=TIMEOUT)

    worst, before = error.maps.worst, viewer.scene.camera.zoom
    if worst.places:  # "nothing unusual" is an answer too
        mouse.click(worst.viewport(), worst.visualRect(worst.model().index(0, 0)))
        assert viewer.scene.camera.zoom > before
    else:
        mouse.clicks += 1

    tabs = error.tabs.tabBar()
    place = next(n for n in range(tabs.count()) if tabs.tabText(n) == "Compare")
    mouse.click(tabs, tabs.tabRect(place))
    mouse.click(error.compare.form.buttons["swipe"])
    line = error.compare.comparison.line
    assert line is not None
    assert {layer.name for layer in error.compare.layers} == {
        layer.name for layer in viewer.layers[:2]
    }
    # as the page promises
    said = re.search(r"in (\w+) clicks", PAGE.read_text("utf-8")).group(1)
    numbers = ["nine", "ten", "eleven"]
    assert said in numbers
    assert mouse.clicks == 9 + numbers.index(said)
    assert notifications() == []
    error.compare.end()
    assert np.isfinite(viewer.scene.camera.zoom)
    QApplication.processEvents()
