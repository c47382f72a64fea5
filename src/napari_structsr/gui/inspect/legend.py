"""The legend of a map: its colours with numbers, and what it says and cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_structsr.core.error_map import MAPS, ErrorMap
from napari_structsr.gui.inspect.map_layers import CLASS_COLORS, make_map_colors
from napari_structsr.gui.widgets.controls import format_number, sentence, stack
from napari_structsr.models.calibration import TrustCalibration

_GUARANTEES = {
    "trust": (
        "An estimate, not a bound: nothing is guaranteed for a single pixel. It holds "
        "for images like those it was fitted to."
    ),
    "interval": (
        "Guaranteed on average, not pixel by pixel: over images like those of the "
        "calibration (sample, microscope, settings), at least 90% of pixels lie within "
        "the interval. For other images nothing is guaranteed."
    ),
}
_SITE = "https://napari-structsr.github.io/napari-structsr/"
_STEPS = 32  # of the gradient
_LINE = 18  # pixels


def format_unit(entry: ErrorMap) -> str:
    """Write the unit of a map for people."""
    return {"class": "", "degree": "°", "standard deviation": "σ of the noise"}.get(
        entry.unit, entry.unit
    )


def help_url(key: str) -> str:
    """Return where the documentation says how to read a map."""
    return f"{_SITE}reading-the-maps/#{key}"


def _describe_left_out(shares: Mapping[str, float]) -> str:
    """Say what intervals promise that sources decided which were left out."""
    low, high = min(shares.values()), max(shares.values())
    return (
        "Meant for images of a new source: 90% of pixels or more lie within the "
        f"interval for half of such sources. Of {len(shares)} sources that the fit had "
        f"not seen, {low:.0%} to {high:.0%} did."
    )


class ColorBar(QWidget):
    """Colours from the best to the worst, with numbers; or the names of classes."""

    def __init__(self) -> None:
        super().__init__()
        self._entry: ErrorMap | None = None
        self._limits = (0.0, 1.0)
        self._threshold = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_map(
        self, entry: ErrorMap, limits: tuple[float, float], threshold: float
    ) -> None:
        """Show the colours between the best and the worst value of a map.

        Below the threshold, a share of the way from 0 to 1, nothing is drawn.
        """
        self._entry, self._limits, self._threshold = entry, limits, threshold
        # a line for each class, or words, bar and numbers
        self.setFixedHeight((len(entry.classes) or 3) * _LINE)
        self.update()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is written, from left to right or from top to bottom."""
        if self._entry is None:
            return ()
        if self._entry.classes:
            return self._entry.classes
        best, worst = self._limits
        middle = format_number((best + worst) / 2)
        return format_number(best), middle, format_number(worst)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw."""
        if self._entry is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self.palette().windowText().color())
        if self._entry.classes:
            self._draw_classes(painter)
        else:
            self._draw_bar(painter)
        painter.end()

    def _draw_classes(self, painter: QPainter) -> None:
        # a map may have fewer classes than there are colours
        pairs = zip(self.texts, CLASS_COLORS, strict=False)
        for line, (text, color) in enumerate(pairs):
            square = QRectF(2, line * _LINE + 3, 24, _LINE - 6)
            painter.fillRect(square, QColor.fromRgbF(*color))
            painter.drawRect(square)
            note = " (not drawn)" if color[3] == 0 else ""
            place = QRectF(34, line * _LINE, self.width() - 34, _LINE)
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, text + note)

    def _draw_bar(self, painter: QPainter) -> None:
        assert self._entry is not None
        bar = QRectF(2, _LINE, self.width() - 4, _LINE - 3)
        painter.fillRect(bar, QColor(110, 110, 110))
        gradient = QLinearGradient(QPointF(bar.left(), 0), QPointF(bar.right(), 0))
        colors = make_map_colors(self._threshold)
        # Qt interpolates between stops, and opacity is not linear
        for step in range(_STEPS + 1):
            share = step / _STEPS
            color = colors[round(share * (len(colors) - 1))]
            gradient.setColorAt(share, QColor.fromRgbF(*map(float, color)))
        painter.fillRect(bar, gradient)
        painter.drawRect(bar)
        if self._threshold > 0:
            x = bar.left() + self._threshold * bar.width()
            painter.drawLine(QPointF(x, bar.top() - 3), QPointF(x, bar.bottom() + 3))
        above = QRectF(2, 0, self.width() - 4, _LINE - 2)
        below = QRectF(2, bar.bottom() + 1, self.width() - 4, _LINE)
        flags = Qt.AlignmentFlag
        left, centre, right = flags.AlignLeft, flags.AlignHCenter, flags.AlignRight
        painter.drawText(above, left, "good")
        painter.drawText(above, right, "bad")
        painter.drawText(above, centre, format_unit(self._entry))
        for align, text in zip((left, centre, right), self.texts, strict=True):
            painter.drawText(below, align, text)


class Legend(QWidget):
    """The colour bar of a map, and sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = ColorBar()
        self.text = sentence()
        self.text.setTextFormat(Qt.TextFormat.RichText)
        stack(self, self.bar, self.text)

    def show_map(
        self,
        key: str,
        limits: tuple[float, float],
        threshold: float,
        *,
        calibration: TrustCalibration | None = None,
    ) -> None:
        """Explain a map, and on what its expected error rests if it shows one."""
        entry = MAPS[key]
        self.bar.show_map(entry, limits, threshold)
        sentences = [
            f"<b>{entry.title[:1].upper()}{entry.title[1:]}:</b> {entry.meaning}",
            f"<b>Cannot see:</b> {entry.blind}",
        ]
        if key in _GUARANTEES:
            guarantee = _GUARANTEES[key]
            if key == "interval" and calibration is not None and calibration.left_out:
                guarantee = _describe_left_out(calibration.left_out)
            sentences.append(f"<b>Guarantee:</b> {guarantee}")
        self.text.setToolTip("")
        if key in _GUARANTEES and calibration is not None:
            sentences.append(
                f"<b>Calibrated on</b> {calibration.patches} patches of "
                f"{calibration.images} images; hover to see which."
            )
            # Qt wraps tooltips of rich text alone
            self.text.setToolTip(
                f"<p>Images: {escape(', '.join(calibration.sources) or 'not named')}"
                f"</p><p>Measured: {escape(calibration.conditions or 'not named')}</p>"
            )
        self.text.setText("<br>".join(sentences))
