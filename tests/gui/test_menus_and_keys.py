"""What the documentation says of menus and keys is what the window has."""

from __future__ import annotations

import re
from pathlib import Path

from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scenes import pair, show

from napari_structsr.gui.compare.swipe import canvas_of
from napari_structsr.gui.inspect.dock import ErrorDock
from napari_structsr.gui.widgets.viewer_widget import (
    NEXT_PLACE_KEY,
    PREVIEW_KEY,
    RUN_KEY,
    SWIPE_KEY,
)

DOCS = Path(__file__).parents[2] / "docs"
KEYS = [PREVIEW_KEY, RUN_KEY, SWIPE_KEY, NEXT_PLACE_KEY]
PLUGIN = "Structure-informed super-resolution"


def menu_bar(viewer):
    """Return the menus of the window; whoever keeps them keeps the window."""
    return canvas_of(viewer).native.window().menuBar()


def find_actions(menu, names: list[str]) -> list:
    """Return the actions of a path below a menu; fail with what there is."""
    found = []
    for name in names:
        texts = {action.text().replace("&", ""): action for action in menu.actions()}
        # napari adds the name of the plugin to commands, and dots to dialogs
        action = next(
            (
                action
                for text, action in texts.items()
                if text.removesuffix(f" ({PLUGIN})").rstrip("….") == name
            ),
            None,
        )
        assert action is not None, f"{name} is not among {sorted(texts)}"
        found.append(action)
        menu = action.menu()
    return found


def list_paths() -> list[str]:
    """Return the paths of menus that pages name, in bold or italics."""
    found = []
    for page in sorted(DOCS.glob("*.md")):
        named = re.findall(
            r"\*((?:File|View|Layers|Plugins|Window|Help)\s>[^*]+)\*",
            page.read_text("utf-8"),
        )
        found += [" ".join(text.split()) for text in named]
    return found


def test_menus_of_the_documentation_are_there(viewer):
    paths = list_paths()
    assert len(paths) > 8
    for path in paths:
        find_actions(menu_bar(viewer), path.split(" > "))


def test_keys_are_nobody_elses(viewer, dock):
    pair(viewer)
    own = [QKeySequence(key) for key in KEYS]
    for action in menu_bar(viewer).window().findChildren(QAction):
        for sequence in action.shortcuts():
            assert sequence not in own, action.text()
    taken = {str(one) for keys in default_shortcuts.values() for one in keys}
    taken |= {str(key) for key in viewer.keymap}
    assert not taken & set(KEYS)
    # each is named where its button is, and on the page
    tips = [dock.preview_button.toolTip(), dock.run_button.toolTip()]
    for key, tip in zip(KEYS, tips, strict=False):
        assert f"({key})" in tip
    page = (DOCS / "how-to.md").read_text("utf-8")
    assert all(f"`{key}`" in page for key in KEYS)


def test_a_key_swipes_and_ends_it_also_behind_another_tab(viewer, dock, qtbot):
    error = ErrorDock(viewer)
    viewer.window.add_dock_widget(error, name="Structure error")
    show(viewer, qtbot)
    dock.frame.raise_()
    viewer.window.activate()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is not None)
    pair(viewer)
    canvas = canvas_of(viewer).native

    QTest.keyClick(canvas, Qt.Key.Key_F7)
    assert error.compare.comparison.mode == "swipe"
    QTest.keyClick(canvas, Qt.Key.Key_F7)
    assert error.compare.comparison is None
