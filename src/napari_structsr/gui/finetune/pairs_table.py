"""The table of pairs: one line each, refused ones too, and all about the chosen one."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_structsr.gui.finetune.pairs_entry import PairEntry, pair_row
from napari_structsr.gui.widgets.controls import sentence

__all__ = ["PairTable"]

_TITLES = ("Pair", "Size", "Shift", "Conf.")
_TIPS = (
    "Tick a pair to lay it over the image: low resolution magenta, high resolution "
    "green; what fits is white.",
    "Measured pixels along y and x.",
    "How far the high-resolution image was moved, along y and x.",
    "0 to 1: the chance that the shift is right to a tenth of a pixel.",
)
_REFUSED = "#d55e00"  # vermilion, apart from all else for every kind of eye
_LINES = 4  # that are shown without scrolling
_LINE = 30  # pixels


class PairTable(QWidget):
    """Shows pairs."""

    ticked = Signal(int, bool)
    """The overlay of a pair is wanted, or no longer."""
    selected = Signal()
    """Other pairs are chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[PairEntry] = ()
        self.table = QTableWidget(0, len(_TITLES))
        self.table.setAccessibleName("Pairs")
        self.table.setHorizontalHeaderLabels(list(_TITLES))
        for column, tip in enumerate(_TIPS):
            if item := self.table.horizontalHeaderItem(column):
                item.setToolTip(tip)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)
        numbers, header = self.table.verticalHeader(), self.table.horizontalHeader()
        if numbers is not None:  # an empty header is false
            numbers.hide()
        if header is not None:
            fit = QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(fit)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setMinimumSectionSize(40)
        self.details = sentence()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addWidget(self.details)
        self.table.itemChanged.connect(self._tell_tick)
        self.table.itemSelectionChanged.connect(self._tell_choice)
        self.show_entries(())

    def rows(self) -> list[int]:
        """Return the numbers of the chosen pairs."""
        return sorted({index.row() for index in self.table.selectedIndexes()})

    def show_entries(
        self, entries: Sequence[PairEntry], ticked: Sequence[int] = ()
    ) -> None:
        """Show pairs, and which of them lie over the image."""
        if list(entries) != list(self._entries):
            self._renew(entries)
        with signals_blocked(self.table):
            for number, entry in enumerate(entries):
                item = self.table.item(number, 0)
                if item is not None and entry.pair is not None:
                    over = number in ticked
                    state = Qt.CheckState.Checked if over else Qt.CheckState.Unchecked
                    item.setCheckState(state)
        self.setVisible(bool(entries))
        lines = min(len(entries), _LINES) + 1
        self.table.setFixedHeight(_LINE * lines + 12)
        self._describe()

    def choose(self, number: int) -> None:
        """Choose one pair."""
        self.table.selectRow(number)

    def _renew(self, entries: Sequence[PairEntry]) -> None:
        """Write all lines.

        Not for a tick alone: its item would be replaced while it tells of the tick.
        """
        before = self.rows()
        self._entries = list(entries)
        with signals_blocked(self.table):
            self.table.clearSpans()
            self.table.setRowCount(len(entries))
            for number, entry in enumerate(entries):
                self._fill(number, entry)
            for number in before:
                self.table.selectRow(number)

    def _fill(self, number: int, entry: PairEntry) -> None:
        """Write one line."""
        row = pair_row(entry)
        name = QTableWidgetItem(f"✕ {row.name}" if row.refused else row.name)
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if not row.refused:
            name.setFlags(flags | Qt.ItemFlag.ItemIsUserCheckable)
            name.setCheckState(Qt.CheckState.Unchecked)
        cells = [name, *map(QTableWidgetItem, (row.size, row.shift, row.confidence))]
        if row.refused:
            cells[1].setText("refused")  # the reason would push all else out of sight
        for column, cell in enumerate(cells):
            cell.setToolTip(row.details)
            if row.refused:
                cell.setForeground(QColor(_REFUSED))
            self.table.setItem(number, column, cell)
        if row.refused:
            self.table.setSpan(number, 1, 1, len(_TITLES) - 1)

    def _tell_tick(self, item: QTableWidgetItem) -> None:
        """Say which overlay is wanted."""
        if item.column() == 0:
            self.ticked.emit(item.row(), item.checkState() == Qt.CheckState.Checked)

    def _tell_choice(self) -> None:
        """Say that other pairs are chosen."""
        self._describe()
        self.selected.emit()

    def _describe(self) -> None:
        """Write all about the chosen pair."""
        rows = [row for row in self.rows() if row < len(self._entries)]
        text = ""
        if rows:
            row = pair_row(self._entries[rows[-1]])
            text = f"{row.name}: {row.details}"
        self.details.setText(text)
        self.details.setVisible(bool(text))
