"""A widget that follows a viewer for as long as it stands in its window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtGui import (  # type: ignore[attr-defined]
    QKeySequence,
    QShortcut,
    QShowEvent,
)
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_structsr.gui.widgets.theme_icon import make_theme_icon


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


# keys of no letter: those are taken by napari, or open menus together with Alt
PREVIEW_KEY, RUN_KEY, SWIPE_KEY, NEXT_PLACE_KEY = "F5", "F6", "F7", "F8"


class Dock(ViewerWidget):
    """A dock of ours, which joins those that are open already as a tab."""

    def __init__(self) -> None:
        super().__init__()
        self.is_placed = False  # among the others, once and for all
        self._keys: list[tuple[str, Callable[[], object]]] = []
        self._shortcuts: list[QShortcut] = []

    def bind_key(self, key: str, act: Callable[[], object]) -> None:
        """Let a key of the window do something for as long as the dock is there."""
        self._keys.append((key, act))

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        for shortcut in self._shortcuts:
            if isalive(shortcut):  # type: ignore[no-untyped-call]
                shortcut.deleteLater()
        self._shortcuts.clear()
        super().release()

    @property
    def frame(self) -> QDockWidget | None:
        """The frame that the window has put around the dock."""
        widget = self.parentWidget()
        while widget is not None and not isinstance(widget, QDockWidget):
            widget = widget.parentWidget()
        return widget

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Join the others; where the user puts it from then on, it stays."""
        super().showEvent(event)
        self._show_icon()
        if not self.is_placed:
            self.is_placed = True
            self._join_others()
        if not self._shortcuts:
            # of the window: those of a tab that is covered would not be heard
            window = self.window()
            for key, act in self._keys:
                shortcut = QShortcut(QKeySequence(key), window)
                shortcut.activated.connect(act)
                self._shortcuts.append(shortcut)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Follow the theme of the viewer, which comes as a style."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self._show_icon()

    def _show_icon(self) -> None:
        # Qt shows it on the tabs of docks, and where a dock floats
        if (frame := self.frame) is not None:
            colour = self.palette().color(self.foregroundRole())
            frame.setWindowIcon(make_theme_icon(colour))

    def _join_others(self) -> None:
        # below each other, no dock would have room for its sentences
        frame, window = self.frame, self.window()
        if frame is None or not isinstance(window, QMainWindow):
            return
        area = window.dockWidgetArea(frame)
        for other in window.findChildren(Dock):
            place = other.frame
            if place in (None, frame) or place.isHidden() or place.isFloating():
                continue
            if window.dockWidgetArea(place) == area:
                window.tabifyDockWidget(place, frame)
                frame.raise_()
                return
