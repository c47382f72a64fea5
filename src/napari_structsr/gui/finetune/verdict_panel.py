"""The third step: how the model did on validation regions, and what becomes of it.

The verdict is the engine's, the decision the user's: a model that is not recommended
can be kept, but not by a single click.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_structsr.errors import StructsrError
from napari_structsr.finetuning.runs import RunSummary, accept_run, read_run, remove_run
from napari_structsr.gui.finetune.model_list import ModelList
from napari_structsr.gui.finetune.train_state import MEASURES, METHODS, resolve_verdict
from napari_structsr.gui.widgets.controls import enable, row, sentence, stack
from napari_structsr.io.weights import read_card
from napari_structsr.models.card import ModelCard

_LINE = 28  # pixels

Scores = Mapping[str, Mapping[str, float]]


class VerdictPanel(QWidget):
    """Shows the verdict, and does what the user decides.

    Attributes
    ----------
    folder
        The fine-tuning that is to be decided about, or None.
    """

    decided = Signal(object)
    """The folder of a fine-tuning that was accepted or discarded."""

    def __init__(self) -> None:
        super().__init__()
        self.folder: Path | None = None
        self._recommended = self._confirming = False
        self.table = _make_table()
        self.sentence = sentence()
        self.notes = sentence()
        self.accept_button = QPushButton("Accept")
        self.discard_button = QPushButton("Discard")
        self.models = ModelList()
        stack(
            self,
            self.table,
            self.sentence,
            self.notes,
            row(self.accept_button, self.discard_button),
            self.models,
            margins=(4, 0, 4, 4),
        )
        self.accept_button.clicked.connect(self.accept)
        self.discard_button.clicked.connect(self.discard)
        self.models.busy_changed.connect(self.refresh)
        self.models.failed.connect(self.sentence.setText)
        self.clear()

    def show_verdict(self, folder: Path, verdict: Any, notes: Sequence[str]) -> None:
        """Show the `Verdict` of a fine-tuning, and what else it said."""
        self._show_scores(folder, verdict.scores, verdict.recommended, verdict.sentence)
        self.notes.setText("\n".join(f"• {note}" for note in notes))
        self.notes.setVisible(bool(notes))

    def show_run(self, run: RunSummary) -> None:
        """Show how a fine-tuning of an earlier session did."""
        scores: Scores = {}
        if run.bundle is not None:
            # the card of the model holds the scores, also after a restart
            card = ModelCard.parse(read_card(run.bundle), origin=run.name)
            scores = card.fine_tuning.scores if card.fine_tuning else {}
        self._show_scores(run.folder, scores, bool(run.recommended), run.sentence)

    def clear(self) -> None:
        """Show that there is nothing to decide about."""
        self.folder = None
        self._recommended = self._confirming = False
        self.table.hide()
        self.notes.hide()
        self.sentence.setText(
            "Once a training has finished, its scores on the validation regions stand "
            "here."
        )
        self.refresh()

    def refresh(self) -> None:
        """Write the state into the widgets."""
        obstacle, text = resolve_verdict(
            finished=self.folder is not None,
            recommended=self._recommended,
            confirming=self._confirming,
            busy=self.models.obstacle,
        )
        self.accept_button.setText(text)
        offer = "Offer this model in the Upscale dock from now on."
        remove = "Remove what was trained; the parent stays as it is."
        enable(self.accept_button, obstacle, offer)
        enable(self.discard_button, obstacle, remove)

    def _show_scores(
        self, folder: Path, scores: Scores, recommended: bool, text: str
    ) -> None:
        self.folder, self._recommended = folder, recommended
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
                # of equal ones each is the best
                font.setBold(value == best)
                item.setFont(font)
                self.table.setItem(line, column, item)
        self.table.setVisible(bool(scores))
        self.refresh()

    def accept(self) -> None:
        """Offer the model from now on; ask once more if it is not recommended."""
        folder = self.folder
        if folder is None or not self.accept_button.isEnabled():
            return
        if not self._recommended and not self._confirming:
            # a model that is worse than its parent takes a second, informed click
            self._confirming = True
            self.refresh()
            return

        def work() -> ModelCard:
            card = accept_run(folder)
            remove_run(folder)  # the model holds all that is worth keeping
            return card

        def show(card: ModelCard) -> None:
            self.clear()
            self.sentence.setText(
                f"✓ {card.name} ×{card.factor} is offered in the Upscale dock from now "
                "on."
            )
            self.models.choose(card)
            self.decided.emit(folder)

        self.models.start("Accepting the model", work, show)

    def discard(self) -> None:
        """Remove what was trained."""
        folder = self.folder
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
