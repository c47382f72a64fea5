r"""The terminal: what a file says is shown as text, and never as a command.

Names and messages may hold markup of rich, and control characters with which a
terminal can be recoloured, retitled or made to type. Both are shown as they are
written: markup is off, and control characters appear as their escapes, such as
``\x1b``.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from rich.console import Console
from rich.text import Text

# C0 without line feed and tab, DEL and C1; marks that turn the direction of text; and
# halves of pairs, as names of files that are no UTF-8 have them
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def make_printable(text: str) -> str:
    r"""Return a text with control characters as their escapes, such as ``\x1b``."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class PlainConsole(Console):
    """A console that takes every text as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text to be shown; tables and messages come here."""
        return super().render_str(make_printable(text), **options)


class PlainHandler(logging.Handler):
    """Show warnings of the log on a console, each as one printable line."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        text = self.format(record)
        self._console.print(f"{record.levelname.lower()}: {text}", soft_wrap=True)
