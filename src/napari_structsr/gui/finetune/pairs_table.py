"""The table of pairs, refused ones too, and what a pair is in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.controls import complete_sentence, sentence, stack

_TITLES = ("Pair", "Size", "Shift", "Conf.")
_TIPS = (
    "Tick a pair to lay it over the image: low resolution magenta, high resolution "
    "green; what fits is white.",
    "Measured pixels along y and x.",
    "How far the high-resolution image was moved, along y and x.",
    "0 to 1: the chance that the shift is right to a tenth of a pixel.",
)
_SHORT = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "meter": "m"}
# begins a note of the engine, which is said here with the unit of the world
_MOVED = "the true image was moved"
_MINUS = "\N{MINUS SIGN}"
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
        self.table.setTabKeyNavigation(False)  # Tab leaves the table
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
        stack(self, self.table, self.details)
        self.table.itemChanged.connect(self._emit_tick)
        self.table.itemSelectionChanged.connect(self._emit_selection)
        self.show_entries(())

    def rows(self) -> list[int]:
        """Return the numbers of the chosen pairs."""
        return sorted({index.row() for index in self.table.selectedIndexes()})

    def show_entries(
        self, entries: Sequence[PairEntry], ticked: Sequence[int] = ()
    ) -> None:
        """Show pairs, and which of them lie over the image."""
        # not for a tick alone: its item would be replaced while it tells of the tick
        if list(entries) != list(self._entries):
            self._fill(entries)
        with signals_blocked(self.table):
            for number, entry in enumerate(entries):
                item = self.table.item(number, 0)
                if item is not None and entry.pair is not None:
                    over = number in ticked
                    state = Qt.CheckState.Checked if over else Qt.CheckState.Unchecked
                    item.setCheckState(state)
        self.setVisible(bool(entries))
        # Qt asks for the same height with any number of lines
        self.table.setFixedHeight(_LINE * (min(len(entries), _LINES) + 1) + 12)
        self._describe()

    def choose(self, number: int) -> None:
        """Choose one pair."""
        self.table.selectRow(number)

    def _fill(self, entries: Sequence[PairEntry]) -> None:
        before = self.rows()
        self._entries = list(entries)
        with signals_blocked(self.table):
            # refused pairs span cells, and their rows go to others
            self.table.clearSpans()
            self.table.setRowCount(len(entries))
            for number, entry in enumerate(entries):
                self._fill_row(number, entry)
            for number in before:
                self.table.selectRow(number)

    def _fill_row(self, number: int, entry: PairEntry) -> None:
        row = describe_pair(entry)
        # a sign besides the colour, which not every eye sees
        name = QTableWidgetItem(f"✕ {row.name}" if row.refused else row.name)
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if not row.refused:
            name.setFlags(flags | Qt.ItemFlag.ItemIsUserCheckable)
            name.setCheckState(Qt.CheckState.Unchecked)
        cells = [name, *map(QTableWidgetItem, (row.size, row.shift, row.confidence))]
        if row.refused:
            cells[1].setText("refused")  # the reason would push all else out of sight
        for column, cell in enumerate(cells):
            cell.setToolTip(keep_plain(row.details))
            if row.refused:
                cell.setForeground(QColor(_REFUSED))
            self.table.setItem(number, column, cell)
        if row.refused:
            self.table.setSpan(number, 1, 1, len(_TITLES) - 1)

    def _emit_tick(self, item: QTableWidgetItem) -> None:
        if item.column() == 0:  # the one with a box; the rest changes by code alone
            self.ticked.emit(item.row(), item.checkState() == Qt.CheckState.Checked)

    def _emit_selection(self) -> None:
        self._describe()
        self.selected.emit()

    def _describe(self) -> None:
        rows = [row for row in self.rows() if row < len(self._entries)]
        if rows:
            row = describe_pair(self._entries[rows[-1]])
            self.details.setText(f"{row.name}: {row.details}")
        self.details.setVisible(bool(rows))


@dataclass(frozen=True)
class PairRow:
    """A pair in words: the cells of the table, and all that is known in sentences."""

    name: str
    size: str
    shift: str
    confidence: str
    details: str
    refused: bool = False


def describe_pair(entry: PairEntry) -> PairRow:
    """Say in words what a pair is."""
    pair = entry.pair
    if pair is None:
        reason = entry.refused or "It was refused."
        return PairRow(entry.name, "", "", "", f"Refused: {reason}", refused=True)
    height, width = pair.measured.shape
    made = pair.registration
    known = made.uncertainty != 0 or any(made.shift) or made.scale != 1
    shift = ", ".join(_format_signed(by, 2) for by in made.shift)
    world = _format_world_shift(made.shift, pair.where.pixel, pair.factor, entry.unit)
    sentences = [f"{height} × {width} measured pixels, ×{pair.factor}."]
    if known:
        sentences.append(
            f"The high-resolution image was moved by {shift} of its pixels{world} "
            f"along y and x, good to {made.uncertainty:.2g}; scale {made.scale:.4f}, "
            f"confidence {made.confidence:.2f}."
        )
    else:
        sentences.append("The two lie on each other as they are.")
    sentences.append(f"Gain {pair.gain:.3g}, offset {_format_signed(pair.offset, 3)}.")
    notes = [note for note in pair.notes if not (known and note.startswith(_MOVED))]
    sentences += [complete_sentence(note) for note in notes]
    return PairRow(
        name=entry.name,
        size=f"{height} × {width}",
        shift=f"{shift} px" if known else "none",
        confidence=f"{made.confidence:.2f}" if known else "",
        details=" ".join(sentences),
    )


def _format_world_shift(
    shift: Sequence[float], pixel: Sequence[float], factor: int, unit: str | None
) -> str:
    """Write a shift of true pixels in the unit of the world, in brackets."""
    if unit is None:
        return ""
    by = ", ".join(
        _format_signed(one * size / factor, 3)
        for one, size in zip(shift, pixel, strict=True)
    )
    return f" ({by} {_SHORT.get(unit, unit)})"


def _format_signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", _MINUS)
