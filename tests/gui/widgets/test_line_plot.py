"""Lines of a plot in a dock: drawn, clicked, and growing."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt

from napari_structsr.gui.widgets import line_plot
from napari_structsr.gui.widgets.line_plot import LinePlot


@pytest.fixture
def plot(qtbot):
    plot = LinePlot()
    qtbot.addWidget(plot)
    plot.resize(300, 200)
    return plot


def test_a_click_on_the_plot_tells_the_nearest_plane(plot, qtbot):
    lines = {
        name: [(float(z), 30.0 + 3 * z - n) for z in range(3)]
        for n, name in enumerate(("DAPI", "actin"))
    }
    plot.show_lines(lines, title="PSNR", axis="z")
    plot.mark(1)
    plot.grab()  # lays out, and drawing breaks nothing
    assert "actin" in plot.names.text()

    with qtbot.waitSignal(plot.clicked) as caught:
        place = plot.box.mapViewToScene(QPointF(2, 30)).toPoint()
        qtbot.mouseClick(
            plot.canvas.viewport(),
            Qt.MouseButton.LeftButton,
            pos=QPoint(place.x() - 10, place.y()),
        )

    assert caught.args == [2]


def test_lines_of_a_plot_grow_and_go(plot):
    for last in range(1, 4):
        points = [(float(n), 20.0 + n) for n in range(last)]
        plot.show_lines({"adapted": points}, title="PSNR (dB)", axis="steps")
    (curve,) = (one for one in plot.box.addedItems if hasattr(one, "getData"))
    assert list(curve.getData()[0]) == [0, 1, 2]
    assert plot.names.isHidden()  # a single line needs none

    plot.show_lines({}, title="", axis="", message="Nothing here.")
    assert plot.canvas.isHidden()
    assert plot.message.text() == "Nothing here."


def test_a_plot_without_its_library_says_so(plot, monkeypatch):
    monkeypatch.setattr(line_plot, "find_spec", lambda name: None)

    plot.show_lines({"PSNR": [(0.0, 1.0)]}, title="PSNR", axis="z")

    assert plot.canvas is None
    assert "pyqtgraph" in plot.message.text()
