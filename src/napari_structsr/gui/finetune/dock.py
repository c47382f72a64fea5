"""The dock for fine-tuning: three steps, each of which hands on to the next.

Opening the dock imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_structsr.finetuning.runs import RunSummary
from napari_structsr.gui.finetune.pairs_panel import PairsPanel
from napari_structsr.gui.finetune.train_panel import TrainPanel
from napari_structsr.gui.finetune.verdict_panel import VerdictPanel
from napari_structsr.gui.widgets.controls import Section, stack
from napari_structsr.gui.widgets.viewer_widget import Dock


class FineTuneDock(Dock):
    """Fine-tunes a model to the user's microscope, by layers of a viewer."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.pairs = PairsPanel(napari_viewer)
        self.train = TrainPanel()
        self.verdict = VerdictPanel()
        self.sections = {
            "pairs": Section("1  Pairs", self.pairs),
            "train": Section("2  Train", self.train),
            "verdict": Section("3  Verdict", self.verdict),
        }
        self._lay_out()
        self.pairs.changed.connect(self._use_pairs)
        self.train.parent_changed.connect(self.pairs.use_parent)
        self.train.started.connect(self._show_training)
        self.train.finished.connect(self._show_verdict)
        self.train.decided.connect(self._show_run)
        self.verdict.decided.connect(self.train.forget)
        # the panels were made before their signals were connected
        self.pairs.use_parent(self.train.form.parent_choice)
        self._use_pairs()

    def _lay_out(self) -> None:
        inner = QWidget()
        steps = QVBoxLayout(inner)
        steps.setContentsMargins(0, 0, 0, 0)
        for section in self.sections.values():
            steps.addWidget(section)
        steps.addStretch(1)  # folded steps stay at the top
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QScrollArea.Shape.NoFrame)
        # what is too wide wraps, or leaves out its middle
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(inner)
        self.setMinimumWidth(370)  # room for a table
        stack(self, self._area)

    def release(self) -> None:
        """Stop, and leave the viewer alone from now on."""
        super().release()
        for panel in (self.pairs, self.train, self.verdict.models):
            panel.release()

    def _use_pairs(self) -> None:
        self.train.use_pairs(
            self.pairs.usable,
            self.pairs.split.split,
            obstacle=self.pairs.split.obstacle,
            preparing=self.pairs.is_busy,
        )

    def _show_training(self) -> None:
        # the curves would lie below the edge of the window
        self.sections["pairs"].open(False)
        self.sections["train"].open()

    def _show_verdict(self, folder: Path, verdict: Any) -> None:
        self.verdict.show_verdict(folder, verdict, self.train.progress.notes)
        self._scroll_to_verdict()

    def _show_run(self, run: RunSummary) -> None:
        self.verdict.show_run(run)
        self._scroll_to_verdict()

    def _scroll_to_verdict(self) -> None:
        # the steps are taller than most windows, and the user may have folded this one
        section = self.sections["verdict"]
        section.open()
        self._area.ensureWidgetVisible(section)
