"""The worst places of a map, worst first: a click on one goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_structsr.core.error_map import MAPS
from napari_structsr.gui.inspect.legend import format_unit
from napari_structsr.gui.widgets.controls import format_number

if TYPE_CHECKING:
    from napari_structsr.inspection.results import WorstRegion

__all__ = ["WorstList"]


class WorstList(QTableWidget):
    """Places with the mean of the map, their plane, row and column."""

    chosen = Signal(object)
    """The `WorstRegion` to go to."""

    def __init__(self) -> None:
        super().__init__()
        self.places: tuple[WorstRegion, ...] = ()
        self._key = ""
        self.setAccessibleName("Worst places")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setToolTip("Click a place to go there.")
        if (header := self.verticalHeader()) is not None:
            header.hide()
        # a click, and the arrow keys
        self.currentCellChanged.connect(self._choose)
        self.cellClicked.connect(self._choose)

    def show_places(self, key: str, places: Sequence[WorstRegion]) -> None:
        """List the places of one map, unless they are listed already.

        Parameters
        ----------
        key
            Which map.
        places
            Its places, worst first.
        """
        if (key, tuple(places)) == (self._key, self.places):
            return
        entry = MAPS[key]
        self.blockSignals(True)
        self._key, self.places = key, tuple(places)
        axes = list(places[0].plane) if places else []
        unit = format_unit(entry)
        value = "hallucination" if entry.classes else unit or entry.title
        titles = ["#", value, *axes, "row", "column"]
        self.clear()
        self.setRowCount(len(places))
        self.setColumnCount(len(titles))
        self.setHorizontalHeaderLabels(titles)
        for row, place in enumerate(places):
            share = (
                f"{place.value:.0%}" if entry.classes else format_number(place.value)
            )
            middle = [
                f"{(ends[0] + ends[1]) // 2}" for ends in (place.rows, place.columns)
            ]
            numbers = [str(place.plane[axis]) for axis in axes]
            for column, text in enumerate([str(row + 1), share, *numbers, *middle]):
                item = QTableWidgetItem(text)
                item.setTextAlignment(
                    Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                )
                self.setItem(row, column, item)
        if (header := self.horizontalHeader()) is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.setCurrentCell(-1, -1)
        self.blockSignals(False)

    def _choose(self, row: int, *_: int) -> None:
        """Tell which place was chosen."""
        if 0 <= row < len(self.places):
            self.chosen.emit(self.places[row])
