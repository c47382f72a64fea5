"""What stands where a dock will be, while what it is made of is imported.

napari asks for a widget and waits for it. A dock stands on libraries that take seconds
to import, so that napari is given a sentence at once, and the dock takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from napari.plugins import menu_item_template
from napari.viewer import Viewer
from qtpy.QtCore import QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QDockWidget, QLabel

from napari_structsr.gui.settings import read_preferences
from napari_structsr.gui.viewer.imports import when_imported

# here, since it is a QObject and belongs to the thread that imports it
from napari_structsr.gui.widgets import model_signals as model_signals
from napari_structsr.gui.widgets.controls import stack
from napari_structsr.gui.widgets.viewer_widget import Dock

if TYPE_CHECKING:
    from napari_structsr.gui.inspect.dock import ErrorDock

_PLUGIN = "Structure-informed super-resolution"  # as in the manifest
_PAUSE = 1  # milliseconds


class OpeningDock(Dock):
    """Holds the place of a dock, which comes as soon as it can.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock is for.
    """

    opened = Signal(object)
    """The dock, which has taken the place."""
    module: ClassVar[str]
    kind: ClassVar[str]

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._dock: Dock | None = None
        self._label = QLabel("Opening…")
        self.setMinimumWidth(320)  # of the dock, so that the canvas keeps its size
        stack(self, self._label)
        self._job = when_imported(self.module, lambda: self._go_on(self._prepare))
        if self._job is not None:
            self._job.failed.connect(self._say)

    def _say(self, sentence: str) -> None:
        if not self.is_gone:
            self._label.setWordWrap(True)
            self._label.setText(sentence)

    def _prepare(self) -> None:
        # napari reads all manifests before it gives the first settings of a plugin
        read_preferences()
        self._go_on(self._make)

    def _go_on(self, step: Callable[[], None]) -> None:
        # in a turn of its own: together, the steps would be felt
        QTimer.singleShot(_PAUSE, step)

    def _make(self) -> None:
        if not self.is_gone:
            self._dock = getattr(import_module(self.module), self.kind)(self._viewer)
            # should the window close before it has a parent
            self.destroyed.connect(self._dock.deleteLater)
            self._go_on(self._adopt)

    def _adopt(self) -> None:
        """Tie the dock to the window, whose style it takes over here alone."""
        if self._dock is not None and not self.is_gone:
            self.destroyed.disconnect(self._dock.deleteLater)
            self._dock.setParent(self._find_frame() or self)
            self._go_on(self._hand_over)

    def _hand_over(self) -> None:
        if self._dock is None or self.is_gone:
            return
        self._label.hide()
        # the user may have put it elsewhere by now
        self._dock.is_placed = self.is_placed
        if frame := self._find_frame():
            frame.setWidget(self._dock)
            self.deleteLater()
        elif layout := self.layout():  # a script has put it in a widget of its own
            layout.addWidget(self._dock)
        self.opened.emit(self._dock)

    def _find_frame(self) -> QDockWidget | None:
        """Return the frame that holds this and nothing else."""
        frame = self.frame
        return frame if frame is not None and frame.widget() is self else None

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        super().release()
        # None: it is made, and has no place yet
        if self._dock is not None and self._dock.parent() in (self, None):
            self._dock.release()


class OpeningUpscale(OpeningDock):
    """Opens the dock for upscaling."""

    module, kind = "napari_structsr.gui.upscale.dock", "UpscaleDock"


class OpeningError(OpeningDock):
    """Opens the dock for structure error."""

    module, kind = "napari_structsr.gui.inspect.dock", "ErrorDock"


class OpeningFineTune(OpeningDock):
    """Opens the dock for fine-tuning."""

    module, kind = "napari_structsr.gui.finetune.dock", "FineTuneDock"


def open_error_dock(viewer: Viewer, act: Callable[[ErrorDock], None]) -> None:
    """Open the dock, or bring the one that is open to the front; then use it."""
    # napari keeps docks by the name of their menu, so that another way to the same
    # dock would open a second one
    docks = [one for one in viewer.window.dock_widgets.values() if _shows_errors(one)]
    if docks:
        found: Any = docks[0]
    else:
        found = OpeningError(viewer)
        name = menu_item_template.format(_PLUGIN, "Structure error")
        viewer.window.add_dock_widget(found, name=name)
    if (frame := found.frame) is not None:
        frame.show()
        frame.raise_()
    if isinstance(found, OpeningDock):
        found.opened.connect(act)
    else:
        act(found)


def _shows_errors(widget: Any) -> bool:
    # by name: the class itself may not be imported yet
    name = type(widget).__name__
    return isinstance(widget, OpeningError) or name == OpeningError.kind
