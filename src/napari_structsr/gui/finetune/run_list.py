"""Fine-tunings of earlier sessions: go on with them, or remove them."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_structsr.finetuning.runs import RunSummary
from napari_structsr.gui.viewer.plain_text import keep_plain, make_plain
from napari_structsr.gui.widgets.controls import enable, sentence, stack


class RunList(QWidget):
    """Lists fine-tunings that were not decided about."""

    resumed = Signal(object)
    """A `RunSummary` to go on with, or to decide about."""
    removed = Signal(object)
    """A `RunSummary` to remove."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: Sequence[RunSummary] = ()
        self.buttons: list[tuple[QPushButton, QToolButton]] = []
        self._layout = QVBoxLayout()
        stack(self, sentence("Of earlier sessions:"), self._layout)
        self._rows: list[QWidget] = []
        self.hide()

    def show_runs(self, runs: Sequence[RunSummary], *, busy: bool) -> None:
        """Show fine-tunings; while one is running (`busy`), no other can go on."""
        self.runs = runs
        # few lines, and their buttons hold their run: simpler made anew than changed
        for old in self._rows:
            self._layout.removeWidget(old)
            old.deleteLater()
        self._rows, self.buttons = [], []
        for run in runs:
            line = self._make_row(run, busy=busy)
            self._rows.append(line)
            self._layout.addWidget(line)
        self.setVisible(bool(runs))

    def _make_row(self, run: RunSummary, *, busy: bool) -> QWidget:
        line = QWidget()
        layout = QHBoxLayout(line)
        layout.setContentsMargins(0, 0, 0, 0)
        done = run.state == "finished"
        how = "finished" if done else f"step {run.step}"
        label = QElidingLabel(f"{run.name} ×{run.factor}, {how}")
        make_plain(label)
        tip = (
            f"{run.name} ×{run.factor}, of {run.parent}: {run.step} steps in "
            f"{format_time(run.seconds)}.\n{run.folder}"
        )
        label.setToolTip(keep_plain(tip))
        # a label that elides asks for the width of its whole text otherwise
        label.setMinimumWidth(60)
        resume = QPushButton("Decide" if done else "Go on")
        resume.setAccessibleName(f"{resume.text()}: {run.name}")
        enable(
            resume,
            "A fine-tuning is under way: pause or cancel it first." if busy else None,
            "Show the verdict." if done else "Train on from where it was stopped.",
        )
        remove = QToolButton()
        remove.setText("✕")
        remove.setAccessibleName(f"Remove {run.name}")
        remove.setToolTip("Remove what was reached from the disk.")
        resume.clicked.connect(lambda: self.resumed.emit(run))
        remove.clicked.connect(lambda: self.removed.emit(run))
        layout.addWidget(label, 1)
        layout.addWidget(resume)
        layout.addWidget(remove)
        self.buttons.append((resume, remove))
        return line


def format_time(seconds: float) -> str:
    """Write a time as minutes and seconds, or hours and minutes."""
    whole = round(seconds)  # before it is divided, or 59.6 s would be 0:60
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600} h {whole % 3600 // 60:02d}"
