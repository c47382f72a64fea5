"""A row of the dock that opens somebody else's model: by a button, or dropped on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_structsr.engine.events import Event, Finished
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.controls import complete_sentence, sentence, stack
from napari_structsr.gui.widgets.model_signals import models_offered
from napari_structsr.zoo.opened_files import open_model_file

_KINDS = (
    "Models (*.zip *.onnx *.pth *.pt *.ckpt *.safetensors rdf.yaml bioimageio.yaml)"
)
_PURPOSE = (
    "Weights of others (.pth, .safetensors), ONNX files and bioimage.io packages. "
    "You can drop a file here, too."
)


class ModelFileRow(QWidget):
    """A button that asks for a file, and a sentence where it is refused."""

    opened = Signal(str)
    """A file can be run and is offered; its path, as a name of a model."""

    def __init__(self) -> None:
        super().__init__()
        self.button = QPushButton("Load a model file…")
        self.button.setToolTip(_PURPOSE)
        self.message = sentence()
        self.message.hide()
        self._job: Job | None = None
        self._folder = ""
        self.setAcceptDrops(True)
        stack(self, self.button, self.message)
        self.button.clicked.connect(self._ask)

    def open(self, path: Path) -> None:
        """Read a file in the background; it may take seconds, and imports torch."""
        self.message.hide()
        self.button.setEnabled(False)
        self._folder = str(path.parent)
        job = Job(f"Reading {path.name}", lambda _: _read(path), notifies=False)
        job.finished.connect(self._tell)
        job.failed.connect(self._refuse)
        job.ended.connect(lambda: self.button.setEnabled(True))
        self._job = job
        job.start()

    def release(self) -> None:
        """Take no answer any more: the dock is closing."""
        if self._job is not None:
            self._job.abandon()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Take files of this machine, one at a time."""
        if event is not None and self._list_dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Open what was dropped."""
        if event is not None and (paths := self._list_dropped(event)):
            event.acceptProposedAction()
            self.open(paths[0])

    def _list_dropped(self, event: QDropEvent) -> list[Path]:
        data = event.mimeData()
        urls = data.urls() if data is not None else []
        paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
        return paths if len(paths) == 1 and self.button.isEnabled() else []

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Load a model file", self._folder, _KINDS
        )
        if path:  # empty if the user has closed the dialog
            self.open(Path(path))

    def _tell(self, event: Finished) -> None:
        models_offered.changed.emit()  # it is offered first, and then chosen
        self.opened.emit(event.output)

    def _refuse(self, text: str) -> None:
        self.message.setText(complete_sentence(text))
        self.message.show()


def _read(path: Path) -> Iterator[Event]:
    yield Finished(open_model_file(path).path)
