"""Lines over one axis, drawn by pyqtgraph: scores along z or t, and training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.util import find_spec
from typing import Any

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_structsr.gui.widgets.controls import sentence

# Okabe and Ito, without black: told apart with every kind of colour vision
_COLORS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
_MOST_NAMES = 8
_MOST_DOTS = 40  # points of a line up to which each has a dot
_WHOLE_TICKS = 6  # planes up to which each has its number
_MISSING = "Plots need pyqtgraph; install it with pip install 'napari-structsr[all]'."


class LinePlot(QWidget):
    """Lines over a common axis, with their names below, or a sentence."""

    clicked = Signal(int)
    """The position of the point nearest to a click, rounded to a whole number."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, list[tuple[float, float]]] = {}
        self.canvas: Any | None = None
        self._axes: dict[str, Any] = {}
        self._curves: list[Any] = []
        self._mark: Any | None = None
        self._marked: int | None = None
        self.message = sentence()
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.names = sentence()
        self.names.setTextFormat(Qt.TextFormat.RichText)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(self.message, 1)
        self._layout.addWidget(self.names)
        self.names.hide()
        self.setMinimumHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)

    def show_lines(
        self,
        lines: Mapping[str, Sequence[tuple[float, float]]],
        *,
        title: str,
        axis: str,
        message: str = "Nothing to plot.",
    ) -> None:
        """Show lines in place of those before; call it again as a line grows.

        A line has a name and points. The title stands at the vertical axis; the message
        is for no lines.
        """
        self.lines = {name: list(points) for name, points in lines.items()}
        # pyqtgraph takes half a second to import, so that a dock opens without it
        if self.lines and self.canvas is None and find_spec("pyqtgraph") is not None:
            self._make_plot()
        has_plot = bool(self.lines) and self.canvas is not None
        self.message.setText(_MISSING if self.lines else message)
        self.message.setVisible(not has_plot)
        self.names.setVisible(has_plot and len(self.lines) > 1)
        if self.canvas is not None:
            self.canvas.setVisible(has_plot)
        if has_plot:
            self._draw(title, axis)

    def mark(self, position: int | None) -> None:
        """Draw a dashed line where the viewer is; None draws none."""
        self._marked = position
        if self._mark is not None:
            self._mark.setVisible(position is not None)
            if position is not None:
                self._mark.setValue(position)

    def _make_plot(self) -> None:
        import pyqtgraph

        self._pyqtgraph = pyqtgraph
        self.canvas = canvas = pyqtgraph.GraphicsLayoutWidget()
        canvas.setBackground(None)
        canvas.ci.layout.setSpacing(0)
        canvas.ci.layout.setContentsMargins(0, 4, 8, 6)
        # no PlotWidget: its menus have no parent, and would outlive the window
        self.box = box = canvas.addViewBox(0, 1, enableMenu=False)
        box.setMouseEnabled(False, False)  # the wheel scrolls the dock
        for side, row, column in (("left", 0, 0), ("bottom", 1, 1)):
            self._axes[side] = axis = pyqtgraph.AxisItem(side, linkView=box)
            axis.enableAutoSIPrefix(False)
            canvas.addItem(axis, row, column)
        self._axes["left"].setGrid(50)  # opacity, of 255
        self._mark = pyqtgraph.InfiniteLine(pen={"style": Qt.PenStyle.DashLine})
        # otherwise a line far from the points would widen the axis
        box.addItem(self._mark, ignoreBounds=True)
        canvas.scene().sigMouseClicked.connect(self._choose)
        self._layout.insertWidget(0, canvas, 1)
        self.mark(self._marked)

    def _draw(self, title: str, axis: str) -> None:
        assert self._mark is not None
        # the palette may have changed with the theme of napari
        ink = self.palette().windowText().color()
        self._mark.pen.setColor(ink)
        for side, text in (("left", title), ("bottom", axis)):
            self._axes[side].setLabel(text, color=ink.name())
            self._axes[side].setPen(ink)
            self._axes[side].setTextPen(ink)
        while len(self._curves) < len(self.lines):
            color = _COLORS[len(self._curves) % len(_COLORS)]
            curve = self._pyqtgraph.PlotDataItem(
                pen={"color": color, "width": 2},
                symbolBrush=color,
                symbolPen=None,
                symbolSize=5,
                antialias=True,
            )
            self.box.addItem(curve)
            self._curves.append(curve)
        for curve in self._curves[len(self.lines) :]:
            curve.setData([], [])
        for curve, points in zip(self._curves, self.lines.values(), strict=False):
            x, y = zip(*points, strict=True)
            curve.setData(x, y, symbol="o" if len(x) < _MOST_DOTS else None)
        places = [x for points in self.lines.values() for x, _ in points]
        # with few planes pyqtgraph would write 0.5 between 0 and 1
        few = max(places) - min(places) <= _WHOLE_TICKS
        spacing = (1, 1) if few and all(x == round(x) for x in places) else ()
        self._axes["bottom"].setTickSpacing(*spacing)
        self.names.setText(_name_lines(list(self.lines)))

    def _choose(self, event: Any) -> None:
        x = self.box.mapSceneToView(event.scenePos()).x()
        places = {x for points in self.lines.values() for x, _ in points}
        if places:
            self.clicked.emit(round(min(places, key=lambda place: abs(place - x))))


def _name_lines(names: Sequence[str]) -> str:
    # below the plot: a legend of pyqtgraph would lie over the lines
    shown = [
        f'<span style="color: {_COLORS[n % len(_COLORS)]}">━</span>&nbsp;'
        + escape(name).replace(" ", "&nbsp;")
        for n, name in enumerate(names[:_MOST_NAMES])
    ]
    more = len(names) - _MOST_NAMES
    return " &nbsp; ".join([*shown, f"and {more} more"] if more > 0 else shown)
