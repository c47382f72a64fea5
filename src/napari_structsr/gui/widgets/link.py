"""Labels that open a page in the browser."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel

_SCHEMES = ("http://", "https://")


def make_link() -> QLabel:
    """Make a label for a link, reached by mouse and Tab key."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    label.setOpenExternalLinks(True)
    return label


def set_link(label: QLabel, text: str, address: str) -> None:
    """Show a link to a page; what is no address of one is shown as text."""
    shown, to = escape(text), escape(address)
    # of the label, since Qt's own blue cannot be read on a dark theme
    color = label.palette().color(QPalette.ColorRole.WindowText).name()
    if address.startswith(_SCHEMES):
        shown = f'<a href="{to}" style="color: {color}">{shown}</a>'
    else:
        shown = f"{shown}: {to}"
    label.setText(shown)
    label.setToolTip(to)
    label.setAccessibleName(f"{text}: {address}")
