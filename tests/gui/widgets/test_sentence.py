"""Sentences in a dock take the room of their lines, whatever its width."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_structsr.gui.widgets.controls import Scroll, sentence


@pytest.fixture
def window(qtbot):
    """Return a narrow dock with sentences in a form that scrolls, and below it."""
    window, body = QWidget(), QWidget()
    form = QFormLayout(body)
    window.short = sentence("cells, under-resolved")
    window.long = sentence("what is said here needs more than a line of it " * 3)
    form.addRow("Images", window.short)
    form.addRow("Why", window.long)
    layout = QVBoxLayout(window)
    layout.addWidget(Scroll(body))
    layout.addWidget(QPushButton("Run"))
    layout.addStretch(1)
    qtbot.addWidget(window)
    window.resize(320, 600)
    with qtbot.waitExposed(window):
        window.show()
    return window


def test_a_sentence_of_one_line_takes_one_line(window, qtbot):
    line = window.short.fontMetrics().lineSpacing()
    qtbot.waitUntil(lambda: window.short.height() < 1.7 * line)


@pytest.mark.parametrize("width", [240, 320, 500])
def test_no_line_is_cut_and_none_is_empty(window, qtbot, width):
    window.resize(width, 600)
    label = window.long

    def fits() -> bool:
        return label.height() == label.heightForWidth(label.width())

    qtbot.waitUntil(fits)
    assert label.height() > 1.7 * label.fontMetrics().lineSpacing()
