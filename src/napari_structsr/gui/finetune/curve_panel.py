"""Scores on the validation regions as they come: one measure at a time.

The adapted model, its parent and bicubic interpolation are lines of one plot.
"""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTabBar, QVBoxLayout, QWidget

from napari_structsr.gui.widgets.line_plot import LinePlot

__all__ = ["MEASURE_TITLES", "METHOD_TITLES", "CurvePanel"]

MEASURE_TITLES: dict[str, tuple[str, str]] = {
    "psnr": (
        "PSNR (dB)",
        "Peak signal-to-noise ratio against the truth; more is better",
    ),
    "ssim": ("SSIM", "Structural similarity with the truth, 1 at best."),
    "gradient_error": (
        "Structure error",
        "How far gradients are from those of the truth; 0 at best, 1 for a flat image.",
    ),
}
METHOD_TITLES = {"adapted": "adapted", "parent": "parent", "bicubic": "bicubic"}


class CurvePanel(QWidget):
    """Plots scores over time."""

    def __init__(self) -> None:
        super().__init__()
        self._points: dict[str, dict[str, list[tuple[float, float]]]] = {}
        self._axis = "seconds"
        self.tabs = QTabBar()
        self.tabs.setAccessibleName("Measure")
        self.tabs.setExpanding(True)
        self.tabs.setDrawBase(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideRight)
        for title, tip in MEASURE_TITLES.values():
            self.tabs.setTabToolTip(self.tabs.addTab(title), tip)
        self.plot = LinePlot()
        self.plot.setAccessibleName("Scores over time")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        layout.addWidget(self.plot)
        self.tabs.currentChanged.connect(self._draw)
        self.begin("seconds")

    def begin(self, axis: str) -> None:
        """Forget all points; `axis` names the horizontal axis."""
        self._axis = axis
        self._points = {
            measure: {method: [] for method in METHOD_TITLES}
            for measure in MEASURE_TITLES
        }
        self._draw()

    def add(self, where: float, values: Mapping[str, Mapping[str, float]]) -> None:
        """Add scores, by method and measure."""
        for measure, lines in self._points.items():
            for method, points in lines.items():
                points.append((where, values[method][measure]))
        self._draw()

    def lines(self, measure: str) -> dict[str, list[tuple[float, float]]]:
        """Return the points of each method."""
        return self._points[measure]

    def _draw(self) -> None:
        measure = list(MEASURE_TITLES)[max(0, self.tabs.currentIndex())]
        lines = {
            METHOD_TITLES[method]: points
            for method, points in self._points[measure].items()
            if points
        }
        self.plot.show_lines(
            lines,
            title=MEASURE_TITLES[measure][0],
            axis=self._axis,
            message="The first scores come in a moment.",
        )
