"""The dock for fine-tuning: three steps that read top to bottom.

It owns the steps and hands on from one to the next: pairs to the training, the trained
model to the verdict. Opening the dock imports no torch.
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
from napari_structsr.gui.widgets.controls import Section
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget

__all__ = ["FineTuneDock"]


class FineTuneDock(ViewerWidget):
    """Fine-tunes a model to the user's microscope.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers are pairs.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.pairs = PairsPanel(napari_viewer)
        self.train = TrainPanel()
        self.verdict = VerdictPanel()
        self.sections = {
            name: Section(title, panel)
            for name, title, panel in (
                ("pairs", "1  Pairs", self.pairs),
                ("train", "2  Train", self.train),
                ("verdict", "3  Verdict", self.verdict),
            )
        }
        self._lay_out()
        self.pairs.changed.connect(self._use_pairs)
        self.train.parent_changed.connect(self.pairs.use_parent)
        self.train.started.connect(self._show_training)
        self.train.finished.connect(self._show_verdict)
        self.train.decided.connect(self._show_run)
        self.verdict.decided.connect(self._forget_run)
        # the panels were made before their signals were connected
        self.pairs.use_parent(self.train.form.parent_choice)
        self._use_pairs()

    def _lay_out(self) -> None:
        inner = QWidget()
        steps = QVBoxLayout(inner)
        steps.setContentsMargins(0, 0, 0, 0)
        for section in self.sections.values():
            steps.addWidget(section)
        steps.addStretch(1)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QScrollArea.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(inner)
        self.setMinimumWidth(370)  # room for a table
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._area)

    def release(self) -> None:
        """Stop, and leave the viewer alone from now on."""
        super().release()
        for panel in (self.pairs, self.train, self.verdict):
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
        section = self.sections["verdict"]
        section.open()
        self._area.ensureWidgetVisible(section)

    def _forget_run(self, folder: Path) -> None:
        self.train.forget(folder)
