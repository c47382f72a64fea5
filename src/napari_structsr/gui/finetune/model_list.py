"""The user's models in the third step: to another machine, back, or away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton

from napari_structsr.errors import StructsrError
from napari_structsr.gui.finetune.run import make_job
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.controls import (
    choice_combo,
    enable,
    fill_combo,
    row,
    sentence,
    stack,
)
from napari_structsr.gui.widgets.model_signals import models_offered
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget
from napari_structsr.models.card import ModelCard
from napari_structsr.zoo.user_models import (
    export_model,
    import_model,
    read_user_cards,
    remove_model,
)


class ModelList(ViewerWidget):
    """Lists the user's models, and copies them one at a time."""

    busy_changed = Signal()
    """A model is being copied, or no longer."""
    failed = Signal(str)
    """Why a model could not be removed."""

    def __init__(self) -> None:
        super().__init__()
        self._job: Job | None = None
        self.combo = choice_combo("Your models", {})
        self.combo.setToolTip("The models that you have accepted or imported.")
        self.export_button = QPushButton("Export…")
        self.import_button = QPushButton("Import…")
        self.remove_button = QPushButton("Remove…")
        buttons = row(self.export_button, self.import_button, self.remove_button)
        stack(self, sentence("Your models"), self.combo, buttons)
        self.export_button.clicked.connect(self._ask_export)
        self.import_button.clicked.connect(self._ask_import)
        self.remove_button.clicked.connect(self._ask_remove)
        self.busy_changed.connect(self.refresh)
        self.follow((models_offered.changed, self.refresh))
        self.refresh()

    @property
    def obstacle(self) -> str | None:
        """Why no model can be copied now."""
        # a model that is replaced while it is exported would be half of each
        busy = self._job is not None and not self._job.has_ended
        return "A model is being copied: wait a moment." if busy else None

    def refresh(self) -> None:
        """Read the models anew; the one that was chosen stays so."""
        entries = {
            (card.name, card.factor): (f"{card.name} ×{card.factor}", card.description)
            for card in read_user_cards()
        }
        fill_combo(self.combo, entries, self.combo.currentData())
        self.combo.setEnabled(bool(entries))
        none = "You have no models yet: accept one, or import one."
        obstacle = self.obstacle or (None if entries else none)
        enable(self.export_button, obstacle, "Write the model for another machine.")
        enable(self.remove_button, obstacle, "Remove the model from this machine.")
        enable(self.import_button, None, "Take up a model that was exported.")

    def start(
        self, name: str, work: Callable[[], Any], show: Callable[[Any], None]
    ) -> None:
        """Do work in the background, and show its result; the buttons wait for it."""
        self._job = job = make_job(name, work)
        job.finished.connect(lambda event: show(event.output))
        job.ended.connect(self.busy_changed)
        job.start()
        self.busy_changed.emit()

    def choose(self, card: ModelCard) -> None:
        """Show a new model, here and in every other dock."""
        models_offered.changed.emit()  # fills the lists, which do not hold it yet
        self.combo.setCurrentIndex(self.combo.findData((card.name, card.factor)))

    def export(self, path: Path) -> None:
        """Write the chosen model for another machine."""
        name, factor = self.combo.currentData()
        self.start(
            f"Exporting {name}",
            lambda: export_model(name, path, factor=factor),
            lambda written: show_info(keep_plain(f"Exported to {written}.")),
        )

    def import_file(self, path: Path) -> None:
        """Take up a model that was exported."""
        self.start(
            f"Importing {path.name}", lambda: import_model(path), self._show_imported
        )

    def remove(self) -> None:
        """Remove the chosen model."""
        try:
            remove_model(*self.combo.currentData())
        except StructsrError as error:
            self.failed.emit(str(error))
            return
        models_offered.changed.emit()

    def _show_imported(self, card: ModelCard) -> None:
        self.choose(card)
        show_info(f"{card.name} ×{card.factor} is offered in the Upscale dock now.")

    def _ask_export(self) -> None:
        name, factor = self.combo.currentData()
        path, _ = QFileDialog.getSaveFileName(
            self, "Export model", f"{name}-x{factor}.zip", "Zip (*.zip)"
        )
        if path:  # empty if the user has closed the dialog
            self.export(Path(path).with_suffix(".zip"))

    def _ask_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Import model", "", "Models (*.zip *.safetensors)"
        )
        if path:
            self.import_file(Path(path))

    def _ask_remove(self) -> None:
        answer = QMessageBox.question(
            self,
            "Remove model",
            f"Remove {self.combo.currentText()} from this machine? Results that it "
            "made stay.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.remove()
