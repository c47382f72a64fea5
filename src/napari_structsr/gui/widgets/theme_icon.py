"""The mark of this plugin, in the colour that text has in the theme of the viewer."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtSvg import QSvgRenderer

_SIDE = 64  # pixels; Qt makes it smaller where it is shown


@cache
def _read_mark() -> str:
    return files("napari_structsr").joinpath("mark.svg").read_text("utf-8")


def make_theme_icon(colour: QColor) -> QIcon:
    """Return the mark drawn in a colour, on nothing."""
    svg = _read_mark().replace("currentColor", colour.name())
    pixels = QPixmap(_SIDE, _SIDE)
    pixels.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixels)
    QSvgRenderer(svg.encode()).render(painter)
    painter.end()
    return QIcon(pixels)
