"""A widget that follows a viewer for as long as it stands in its window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget


class ViewerWidget(QWidget):
    """A dock, or a part of one, that lets go of its viewer when it is taken away.

    A part is released by the dock that holds it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._followed: list[tuple[Any, Callable[..., None]]] = []

    @property
    def is_gone(self) -> bool:
        """Whether the window is gone; the viewer and its layers may outlive it."""
        return not isalive(self)  # type: ignore[no-untyped-call]

    def follow(self, *pairs: tuple[Any, Callable[..., None]]) -> None:
        """Connect signals, each with its slot, until `release`."""
        for signal, slot in pairs:
            signal.connect(slot)
        self._followed += pairs

    def release(self) -> None:
        """Leave the viewer alone from now on; a second call does nothing."""
        for signal, slot in self._followed:
            signal.disconnect(slot)
        self._followed.clear()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Let go once the widget has been taken out of its window."""
        super().changeEvent(event)
        # napari hides and deletes a closed dock; the one sign is the lost parent
        removed = event is not None and event.type() == QEvent.Type.ParentChange
        if removed and self.parent() is None:
            self.release()
