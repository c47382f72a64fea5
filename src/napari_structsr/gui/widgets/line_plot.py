"""A score along z or t as lines, and a click that goes to a plane.

Drawn by hand: a few lines with numbers at their ends need no plotting library. It knows
nothing of images; `lines_of` takes lines from a score table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_structsr.gui.widgets.controls import format_number

if TYPE_CHECKING:
    from napari_structsr.inspection.results import ScoreTable

__all__ = ["LinePlot", "lines_of", "plot_axes"]

# Okabe and Ito, without black
_COLORS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 8, 34
_LINE = 16
_MOST = 8  # lines that are named

Points = Sequence[tuple[float, float]]


def plot_axes(table: ScoreTable) -> tuple[str, ...]:
    """Return the axes along which a table has more than one plane: z, t, c."""
    return tuple(
        axis
        for axis in "ztc"
        if len({row.plane[axis] for row in table.rows if axis in row.plane}) > 1
    )


def lines_of(
    table: ScoreTable, key: str, axis: str, at: Mapping[str, int]
) -> dict[str, list[tuple[float, float]]]:
    """Return a line of a score for each region and channel.

    Parameters
    ----------
    table
        Scores.
    key
        Which one.
    axis
        Axis along which the line runs.
    at
        Index along the other axes, but for channels, which all have their line.
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    channels = {(row.plane.get("c"), row.channel) for row in table.rows}
    for row in table.rows:
        value = row.values.get(key)
        others = {name: i for name, i in row.plane.items() if name not in (axis, "c")}
        if value is None or any(at.get(name, 0) != i for name, i in others.items()):
            continue
        words = [row.region]
        if axis != "c" and len(channels) > 1:
            words.append(row.channel or f"channel {row.plane.get('c')}")
        lines.setdefault(", ".join(words), []).append((float(row.plane[axis]), value))
    return lines


class LinePlot(QWidget):
    """Lines over a common axis of whole numbers."""

    clicked = Signal(int)
    """The whole number that was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, list[tuple[float, float]]] = {}
        self._title, self._axis = "", ""
        self._message = ""
        self._mark: int | None = None
        self.setMinimumHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a comfortable size."""
        return QSize(280, 190)

    def show_lines(
        self,
        lines: Mapping[str, Points],
        *,
        title: str,
        axis: str,
        message: str = "Nothing to plot.",
    ) -> None:
        """Show lines.

        Parameters
        ----------
        lines
            Points of each line by its name.
        title, axis
            What stands at the vertical and the horizontal axis.
        message
            What is said where there are no lines.
        """
        self.lines = {name: list(points) for name, points in lines.items()}
        self._title, self._axis, self._message = title, axis, message
        self.update()

    def mark(self, position: int | None) -> None:
        """Show where the viewer is."""
        if position != self._mark:
            self._mark = position
            self.update()

    def x_of(self, value: float) -> float:
        """Return where a number of the horizontal axis lies, in pixels."""
        low, high = self._range(0)
        share = 0.5 if high == low else (value - low) / (high - low)
        return _LEFT + share * (self.width() - _LEFT - _RIGHT)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which plane is nearest."""
        if event is None or not self.lines:
            return
        there = {x for points in self.lines.values() for x, _ in points}
        nearest = min(there, key=lambda x: abs(self.x_of(x) - event.position().x()))
        self.clicked.emit(round(nearest))

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().windowText().color()
        painter.setPen(ink)
        if not self.lines:
            centred = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()), int(centred), self._message)
            painter.end()
            return
        self._draw_axes(painter, ink)
        for number, points in enumerate(self.lines.values()):
            painter.setPen(QPen(QColor(_COLORS[number % len(_COLORS)]), 2))
            placed = [QPointF(self.x_of(x), self._y_of(y)) for x, y in points]
            painter.drawPolyline(QPolygonF(placed))
            for point in placed if len(placed) < 40 else []:
                painter.drawEllipse(point, 2, 2)
        self._draw_names(painter, ink)
        painter.end()

    def _draw_axes(self, painter: QPainter, ink: QColor) -> None:
        """Draw numbers, faint lines behind, and the plane that is shown."""
        faint = QColor(ink)
        faint.setAlpha(50)
        right = self.width() - _RIGHT
        for y in _ticks(*self._range(1), most=4):
            height = self._y_of(y)
            painter.setPen(faint)
            painter.drawLine(QPointF(_LEFT, height), QPointF(right, height))
            painter.setPen(ink)
            place = QRectF(0, height - 8, _LEFT - 5, 16)
            align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(place, int(align), format_number(y))
        low, high = self._range(0)
        bottom = self._bottom
        for x in _ticks(low, high, most=6, whole=True):
            place = QRectF(self.x_of(x) - 25, bottom + 2, 50, _LINE)
            painter.drawText(place, Qt.AlignmentFlag.AlignHCenter, f"{x:.0f}")
        place = QRectF(_LEFT, bottom + _LINE, right - _LEFT, _LINE)
        painter.drawText(place, Qt.AlignmentFlag.AlignHCenter, self._axis)
        if self._mark is not None and low <= self._mark <= high:
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DashLine))
            x = self.x_of(self._mark)
            painter.drawLine(QPointF(x, _TOP), QPointF(x, bottom))

    def _draw_names(self, painter: QPainter, ink: QColor) -> None:
        """Name the lines below the plot, if there are several."""
        if len(self.lines) < 2:
            return
        top = self._bottom + _BOTTOM
        for number, name in enumerate(list(self.lines)[:_MOST]):
            row, column = divmod(number, 2)
            x = 4 + column * self.width() / 2
            y = top + row * _LINE
            color = QColor(_COLORS[number % len(_COLORS)])
            painter.fillRect(QRectF(x, y + 6, 12, 4), color)
            painter.setPen(ink)
            more = len(self.lines) - _MOST
            last = number == _MOST - 1 and more > 0
            width = self.width() / 2 - 22
            text = f"{name} (+{more})" if last else name
            text = painter.fontMetrics().elidedText(
                text, Qt.TextElideMode.ElideMiddle, int(width)
            )
            painter.drawText(QRectF(x + 16, y, width, _LINE), 0, text)

    @property
    def _bottom(self) -> float:
        """Where the horizontal axis lies, above the names of the lines."""
        rows = (min(len(self.lines), _MOST) + 1) // 2 if len(self.lines) > 1 else 0
        return self.height() - _BOTTOM - rows * _LINE

    def _y_of(self, value: float) -> float:
        """Return where a number of the vertical axis lies, in pixels."""
        low, high = self._range(1)
        return self._bottom - (value - low) / (high - low) * (self._bottom - _TOP)

    def _range(self, dimension: int) -> tuple[float, float]:
        """Return the numbers between which all points lie, with room above."""
        values = [p[dimension] for points in self.lines.values() for p in points]
        low, high = min(values), max(values)
        if dimension == 0:
            return low, high
        room = 0.08 * (high - low) or abs(high) * 0.05 or 0.5
        return low - room, high + room


def _ticks(low: float, high: float, *, most: int, whole: bool = False) -> list[float]:
    """Return round numbers in a range."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= raw)
    if whole:
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]
