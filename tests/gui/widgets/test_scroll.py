"""A form that scrolls on a small screen, in the style that napari gives it."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_structsr.gui.widgets.controls import Scroll, stack

NAPARI = "QWidget { border: 0px; padding: 1px; }"


@pytest.fixture
def window(qtbot):
    """Return a form of ten buttons with room below it."""
    window, body = QWidget(), QWidget()
    window.setStyleSheet(NAPARI)
    stack(body, *(QPushButton(f"button {number}") for number in range(10)))
    layout = QVBoxLayout(window)
    layout.addWidget(Scroll(body))
    layout.addStretch(1)
    qtbot.addWidget(window)
    window.resize(300, body.sizeHint().height() + 100)
    with qtbot.waitExposed(window):
        window.show()
    return window


def test_nothing_is_cut_where_there_is_room(window, qtbot):
    scroll = window.findChild(Scroll)
    qtbot.waitUntil(lambda: scroll.height() > 120)
    assert not scroll.verticalScrollBar().isVisible()
    for button in scroll.findChildren(QPushButton):
        assert button.visibleRegion().boundingRect() == button.rect()


def test_buttons_end_before_the_bar(window, qtbot):
    scroll = window.findChild(Scroll)
    bar = scroll.verticalScrollBar()
    window.resize(300, 150)
    qtbot.waitUntil(bar.isVisible)
    edge = bar.mapTo(window, QPoint(0, 0)).x()
    for button in scroll.findChildren(QPushButton):
        qtbot.waitUntil(
            lambda button=button: (
                button.mapTo(window, button.rect().topRight()).x() + 2 < edge
            )
        )
    window.resize(300, 900)
    qtbot.waitUntil(lambda: not bar.isVisible())
    assert scroll.viewport().width() == scroll.width() - 2 * scroll.frameWidth()
