"""The third step: how the model did on validation regions, and what becomes of it.

It owns the decision of the user; the verdict itself is the engine's. A model that is
not recommended can be kept, but not by a single click. Below stand the models of the
user, to be taken to another machine and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QMessageBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_structsr.errors import StructsrError
from napari_structsr.finetuning.runs import RunSummary, accept_run, read_run, remove_run
from napari_structsr.gui.finetune.run import make_job
from napari_structsr.gui.finetune.train_state import (
    MEASURES,
    METHODS,
    VerdictState,
    resolve_verdict,
)
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.controls import (
    choice_combo,
    enable,
    row,
    sentence,
    stack,
)
from napari_structsr.gui.widgets.model_signals import models_offered
from napari_structsr.zoo.user_models import (
    export_model,
    import_model,
    read_user_cards,
    remove_model,
)

__all__ = ["VerdictPanel"]

_LINE = 28  # pixels

Scores = Mapping[str, Mapping[str, float]]


class VerdictPanel(QWidget):
    """Shows the verdict, and does what the user decides."""

    decided = Signal(object)
    """The folder of a fine-tuning that was accepted or discarded."""

    def __init__(self) -> None:
        super().__init__()
        self._folder: Path | None = None
        self._recommended = False
        self._confirming = False
        self._job: Job | None = None
        self.table = _make_table()
        self.sentence = sentence()
        self.notes = sentence()
        self.accept_button = QPushButton("Accept")
        self.discard_button = QPushButton("Discard")
        self.models = choice_combo("Your models", {})
        self.models.setToolTip("The models that you have accepted or imported.")
        self.export_button = QPushButton("Export…")
        self.import_button = QPushButton("Import…")
        self.remove_button = QPushButton("Remove…")
        stack(
            self,
            self.table,
            self.sentence,
            self.notes,
            row(self.accept_button, self.discard_button),
            sentence("Your models"),
            self.models,
            row(self.export_button, self.import_button, self.remove_button),
            margins=(4, 0, 4, 4),
        )
        self.accept_button.clicked.connect(self.accept)
        self.discard_button.clicked.connect(self.discard)
        self.export_button.clicked.connect(self._ask_export)
        self.import_button.clicked.connect(self._ask_import)
        self.remove_button.clicked.connect(self._ask_remove)
        models_offered.changed.connect(self.refresh)
        self.clear()

    def release(self) -> None:
        """Follow the models of the user no more."""
        models_offered.changed.disconnect(self.refresh)

    # -- what is shown -----------------------------------------------------------------

    @property
    def folder(self) -> Path | None:
        """The fine-tuning that is to be decided about."""
        return self._folder

    def show_verdict(self, folder: Path, verdict: Any, notes: Sequence[str]) -> None:
        """Show how a fine-tuning did.

        Parameters
        ----------
        folder
            Of the fine-tuning.
        verdict
            A `Verdict`.
        notes
            What else it said.
        """
        self._show_scores(folder, verdict.scores, verdict.recommended, verdict.sentence)
        self.notes.setText("\n".join(f"• {note}" for note in notes))
        self.notes.setVisible(bool(notes))

    def show_run(self, run: RunSummary) -> None:
        """Show how a fine-tuning of an earlier session did."""
        scores: Scores = {}
        if run.bundle is not None:
            # the card of the model holds the scores, also after a restart
            from napari_structsr.io.weights import read_card
            from napari_structsr.models.card import ModelCard

            card = ModelCard.parse(read_card(run.bundle), origin=run.name)
            scores = card.fine_tuning.scores if card.fine_tuning else {}
        self._show_scores(run.folder, scores, bool(run.recommended), run.sentence)

    def clear(self) -> None:
        """Show that there is nothing to decide about."""
        self._folder, self._recommended = None, False
        self._confirming = False
        self.table.hide()
        self.notes.hide()
        self.sentence.setText(
            "Once a training has finished, its scores on the validation regions stand "
            "here."
        )
        self.refresh()

    def state(self) -> VerdictState:
        """Return what there is to show."""
        return resolve_verdict(
            finished=self._folder is not None,
            recommended=self._recommended,
            confirming=self._confirming,
            busy=self._job is not None and not self._job.has_ended,
            models=self.models.count(),
        )

    def refresh(self) -> None:
        """Write the state into the widgets."""
        # the models are read anew, and the one that was chosen stays so
        before = self.models.currentData()
        self.models.clear()
        for card in read_user_cards():
            self.models.addItem(f"{card.name} ×{card.factor}", (card.name, card.factor))
            last = self.models.count() - 1
            self.models.setItemData(last, card.description, Qt.ItemDataRole.ToolTipRole)
        self.models.setCurrentIndex(max(0, self.models.findData(before)))
        self.models.setEnabled(self.models.count() > 0)
        state = self.state()
        self.accept_button.setText(state.accept_text)
        enable(
            self.accept_button,
            state.accept,
            "Offer this model in the Upscale dock from now on.",
        )
        enable(
            self.discard_button,
            state.discard,
            "Remove what was trained; the parent stays as it is.",
        )
        enable(self.export_button, state.export, "Write the model for another machine.")
        enable(self.remove_button, state.export, "Remove the model from this machine.")
        enable(self.import_button, None, "Take up a model that was exported.")

    def _show_scores(
        self, folder: Path, scores: Scores, recommended: bool, text: str
    ) -> None:
        self._folder, self._recommended = folder, recommended
        self._confirming = False
        self.notes.hide()
        self.sentence.setText(f"{'✓' if recommended else '✕'} {text}")
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for column, (key, measure) in enumerate(MEASURES.items() if scores else ()):
            values = [scores[method][key] for method in METHODS]
            best = max(values) if measure.more_is_better else min(values)
            for line, value in enumerate(values):
                item = QTableWidgetItem(f"{value:.{measure.digits}f}")
                item.setTextAlignment(right)
                font = item.font()
                font.setBold(value == best)
                item.setFont(font)
                self.table.setItem(line, column, item)
        self.table.setVisible(bool(scores))
        self.refresh()

    # -- what the buttons do -----------------------------------------------------------

    def accept(self) -> None:
        """Offer the model from now on; ask once more if it is not recommended."""
        folder = self._folder
        if folder is None or self.state().accept is not None:
            return
        if not self._recommended and not self._confirming:
            # a model that is worse than its parent takes a second, informed click
            self._confirming = True
            self.refresh()
            return

        def work() -> Any:
            card = accept_run(folder)
            remove_run(folder)  # the model holds all that is worth keeping
            return card

        job = make_job("Accepting the model", work)
        job.finished.connect(lambda event: self._finish_accepting(folder, event.output))
        self._start(job)

    def discard(self) -> None:
        """Remove what was trained."""
        folder = self._folder
        if folder is None:
            return
        try:
            read_run(folder)  # refuses a folder that holds something else
            remove_run(folder)
        except StructsrError as error:
            self.sentence.setText(str(error))
            return
        self.clear()
        self.decided.emit(folder)

    def export(self, path: Path) -> None:
        """Write the chosen model for another machine."""
        name, factor = self.models.currentData()
        job = make_job(
            f"Exporting {name}", lambda: export_model(name, path, factor=factor)
        )
        job.finished.connect(lambda event: show_info(f"Exported to {event.output}."))
        self._start(job)

    def import_file(self, path: Path) -> None:
        """Take up a model that was exported."""
        job = make_job(f"Importing {path.name}", lambda: import_model(path))
        job.finished.connect(self._finish_importing)
        self._start(job)

    def remove(self) -> None:
        """Remove the chosen model."""
        name, factor = self.models.currentData()
        try:
            remove_model(name, factor)
        except StructsrError as error:
            self.sentence.setText(str(error))
            return
        models_offered.changed.emit()

    def _start(self, job: Job) -> None:
        self._job = job
        job.ended.connect(self.refresh)
        job.start()
        self.refresh()

    def _finish_accepting(self, folder: Path, card: Any) -> None:
        self.clear()
        self.sentence.setText(
            f"✓ {card.name} ×{card.factor} is offered in the Upscale dock from now on."
        )
        # fills the list of models, here and in every other dock
        models_offered.changed.emit()
        self.models.setCurrentIndex(self.models.findData((card.name, card.factor)))
        self.decided.emit(folder)

    def _finish_importing(self, event: Any) -> None:
        card = event.output
        models_offered.changed.emit()
        self.models.setCurrentIndex(self.models.findData((card.name, card.factor)))
        show_info(f"{card.name} ×{card.factor} is offered in the Upscale dock now.")

    def _ask_export(self) -> None:
        name, factor = self.models.currentData()
        path, _ = QFileDialog.getSaveFileName(
            self, "Export model", f"{name}-x{factor}.zip", "Zip (*.zip)"
        )
        if path:
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
            f"Remove {self.models.currentText()} from this machine? Results that it "
            "made stay.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.remove()


def _make_table() -> QTableWidget:
    table = QTableWidget(len(METHODS), len(MEASURES))
    table.setAccessibleName("Scores on the validation regions")
    table.setHorizontalHeaderLabels([one.title for one in MEASURES.values()])
    table.setVerticalHeaderLabels(list(METHODS))
    for column, measure in enumerate(MEASURES.values()):
        if item := table.horizontalHeaderItem(column):
            item.setToolTip(measure.tip)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    header, names = table.horizontalHeader(), table.verticalHeader()
    if header is not None and names is not None:  # an empty header is false
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        last = QHeaderView.ResizeMode.ResizeToContents
        header.setSectionResizeMode(len(MEASURES) - 1, last)
        # fixed heights, so that the table shows all lines and never scrolls
        header.setFixedHeight(_LINE)
        names.setDefaultSectionSize(_LINE)
    table.setFixedHeight((len(METHODS) + 1) * _LINE + 4)
    return table
