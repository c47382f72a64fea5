"""What was found, in one sentence, beside bicubic; and saving all of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_structsr.gui.inspect.run import save_layer
from napari_structsr.gui.inspect.score_table import describe_score, name_score
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.controls import enable, sentence, stack
from napari_structsr.gui.widgets.progress_row import ProgressRows
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget

if TYPE_CHECKING:
    from napari_structsr.engine.events import Finished
    from napari_structsr.gui.inspect.map_layers import ShownInspection
    from napari_structsr.inspection.findings import Gain


class GainTable(QTableWidget):
    """Scores of the result beside those of bicubic interpolation."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.setAccessibleName("Result and bicubic")
        self.setToolTip("Means over planes, against the reference.")
        self.setHorizontalHeaderLabels(["result", "bicubic"])
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        if (header := self.horizontalHeader()) is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)

    def show_gains(self, gains: tuple[Gain, ...]) -> None:
        """Show scores; the table is as high as they need."""
        self.setRowCount(len(gains))
        for line, one in enumerate(gains):
            title = QTableWidgetItem(name_score(one.key))
            title.setToolTip(keep_plain(describe_score(one.key)))
            self.setVerticalHeaderItem(line, title)
            for column, value in enumerate((one.result, one.bicubic)):
                cell = QTableWidgetItem(f"{value:.{one.digits}f}")
                cell.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                font = cell.font()
                # the better of the two
                font.setBold(one.gain != 0 and (one.gain > 0) == (column == 0))
                cell.setFont(font)
                self.setItem(line, column, cell)
        self.resizeRowsToContents()
        lines = sum(self.rowHeight(line) for line in range(self.rowCount()))
        header = self.horizontalHeader()
        above = 0 if header is None else header.sizeHint().height()
        self.setFixedHeight(lines + above + 2 * self.frameWidth())
        self.setVisible(bool(gains))


class FoundPanel(ViewerWidget):
    """Says what an inspection found, and saves it by what stands in `saving`."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: ShownInspection | None = None
        self.text = sentence()
        self.gains = GainTable()
        self.save_button = QPushButton("Save maps, scores and report…")
        self.jobs = ProgressRows()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.gains)
        # below the maps, where it is not in the way
        self.saving = QWidget()
        stack(self.saving, self.save_button, self.jobs)
        self.save_button.clicked.connect(self._save)

    def show_inspection(self, shown: ShownInspection | None) -> None:
        """Say what was found in the inspection of a layer."""
        before = self._shown and self._shown.inspection
        self._shown = shown
        if shown is None or shown.inspection is before:
            return
        # imports torch, which an inspection has imported by now
        from napari_structsr.inspection.findings import compare_with_bicubic

        self.text.setText(shown.inspection.sentence)
        self.gains.show_gains(compare_with_bicubic(shown.inspection.scores.means()))
        self.jobs.clear()
        self._enable()

    def _enable(self) -> None:
        if self.is_gone or self._shown is None:
            return
        folder = self._shown.inspection.folder
        obstacle = f"All of it lies in {folder}." if folder else None
        if self.jobs.is_busy:
            obstacle = "It is being saved."
        purpose = "Write all maps, the scores, the worst places and a report."
        enable(self.save_button, obstacle, purpose)

    def _save(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Save into a new folder in")
        # an empty path: the dialog was cancelled
        if chosen:
            self.save_into(Path(chosen))

    def save_into(self, parent: Path) -> None:
        """Save into a new folder in a folder, in the background."""
        if self._shown is None:
            return
        self.jobs.clear()
        job = save_layer(self._shown, parent)
        self.jobs.add(job, self._shown.result, resumable=True)
        job.finished.connect(_tell)
        job.ended.connect(self._enable)
        self._enable()


def _tell(event: Finished) -> None:
    show_info(keep_plain(f"Maps, scores and report are in {event.output.folder}."))
