"""Names and messages in Qt: text, whatever they look like.

Qt takes a text that begins as HTML for HTML: a name could show pictures, links or
nothing at all. Labels are told that theirs is plain; tooltips and the notifications of
napari cannot be told.
"""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

_JOINER = "\u2060"  # takes no room, and ends what Qt would take for a tag


def make_plain(label: QLabel) -> QLabel:
    """Let a label show its text as it is; return the label."""
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def keep_plain(text: str) -> str:
    """Return a text that tooltips and notifications show as it is."""
    return text.replace("<", f"<{_JOINER}").replace("&lt;", f"&{_JOINER}lt;")
