"""Tables of an inspection: scores of each plane, and the worst places of a map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import (  # type: ignore[attr-defined]
    QAbstractTableModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_structsr.core.error_map import MAPS
from napari_structsr.gui.inspect.legend import format_unit
from napari_structsr.gui.widgets.controls import format_number
from napari_structsr.gui.widgets.viewer_widget import NEXT_PLACE_KEY

if TYPE_CHECKING:
    from napari_structsr.inspection.results import ScoreTable, WorstRegion

_TITLES = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "micro_ssim": "MicroSSIM",
    "nrmse": "NRMSE",
    "gradient_error": "gradient error",
    "frc_resolution": "FRC resolution",
    "residual_rms": "residual",
    "rse": "RSE",
    "rsp": "RSP",
    "fitted_blur": "fitted blur",
    "decorrelation_source": "decorr. source",
    "decorrelation_bicubic": "decorr. bicubic",
    "decorrelation_result": "decorr. result",
}
_SORT = Qt.ItemDataRole.UserRole


def name_score(key: str) -> str:
    """Name a score for people."""
    if key in _TITLES:
        return _TITLES[key]
    return f"mean {MAPS[key].title}" if key in MAPS else key.replace("_", " ")


def describe_score(key: str) -> str:
    """Say what a score is, or "" where that is not known."""
    from napari_structsr.inspection.results import SCORES  # imports torch

    if key in SCORES:
        return SCORES[key]
    if key in MAPS:
        unit = format_unit(MAPS[key])
        return f"mean of the map {MAPS[key].title}{f' in {unit}' if unit else ''}"
    return ""


class _Model(QAbstractTableModel):
    """A score table as Qt sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.table: ScoreTable | None = None
        self._header: tuple[str, ...] = ()
        self._cells: list[tuple[Any, ...]] = []

    def show_table(self, table: ScoreTable | None) -> None:
        self.beginResetModel()
        self.table = table
        self._header = table.header if table else ()
        self._cells = table.cells() if table else []
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return len(self._cells)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return len(self._header)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = 0
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self._header):
            return None
        key = self._header[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return name_score(key)
        return describe_score(key) if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        value = self._cells[index.row()][index.column()]
        if role == _SORT:
            return value
        if role == Qt.ItemDataRole.DisplayRole:
            if isinstance(value, float):
                return format_number(value)
            return "" if value is None else str(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = "AlignLeft" if isinstance(value, str) else "AlignRight"
            return getattr(Qt.AlignmentFlag, side) | Qt.AlignmentFlag.AlignVCenter
        return None


class _Sorted(QSortFilterProxyModel):
    """Sorts numbers as numbers, and what is missing to the end."""

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:  # noqa: N802
        first, second = left.data(_SORT), right.data(_SORT)
        # at the end in both orders: Qt turns the answer around
        if first is None or second is None:
            rising = self.sortOrder() == Qt.SortOrder.AscendingOrder
            return (second is None) == rising and first is not second
        return bool(first < second)


class ScoreTableView(QTableView):
    """Scores of each plane, channel and region."""

    chosen = Signal(object)
    """The `ScoreRow` that was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self._model = _Model()
        self._sorted = _Sorted()
        self._sorted.setSourceModel(self._model)
        self.setModel(self._sorted)
        # no column: the order of the planes until a title is clicked
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setAccessibleName("Scores")
        self.setToolTip("Click a title to sort, and a row to go to its plane.")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        if (header := self.verticalHeader()) is not None:
            header.hide()
        self.clicked.connect(self._choose)
        # by the keyboard
        self.activated.connect(self._choose)

    @property
    def table(self) -> ScoreTable | None:
        """What is shown."""
        return self._model.table

    def show_table(self, table: ScoreTable | None) -> None:
        """Show scores, without columns that are the same everywhere."""
        self._model.show_table(table)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        if table is None:
            return
        told = {
            "channel": len({row.channel for row in table.rows}) > 1,
            "region": len({row.region for row in table.rows}) > 1,
        }
        for column, key in enumerate(table.header):
            self.setColumnHidden(column, not told.get(key, True))
        self.resizeColumnsToContents()

    def texts(self) -> list[list[str]]:
        """Return what the table shows, in its present order."""
        cells, columns = self._sorted.index, range(self._sorted.columnCount())
        rows = range(self._sorted.rowCount())
        return [[str(cells(row, n).data() or "") for n in columns] for row in rows]

    def save_csv(self, path: Path) -> None:
        """Write all scores with all their digits."""
        if self.table is not None:
            path.write_text(self.table.to_csv(), encoding="utf-8")

    def _choose(self, index: QModelIndex) -> None:
        if self.table is not None:
            row = self._sorted.mapToSource(index).row()
            self.chosen.emit(self.table.rows[row])


class WorstTable(QTableWidget):
    """Places with the mean of the map, their plane, row and column."""

    chosen = Signal(object)
    """The `WorstRegion` to go to."""

    def __init__(self) -> None:
        super().__init__()
        self.places: tuple[WorstRegion, ...] = ()
        self._key = ""
        self.setAccessibleName("Worst places")
        # a few lines, whatever else the dock shows: it scrolls as a whole
        self.setMinimumHeight(6 * self.fontMetrics().lineSpacing() + 50)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setToolTip(f"Click a place to go there ({NEXT_PLACE_KEY}: the next one).")
        if (header := self.verticalHeader()) is not None:
            header.hide()
        # a click, and the arrow keys
        self.currentCellChanged.connect(self._choose)
        self.cellClicked.connect(self._choose)

    def show_places(self, key: str, places: Sequence[WorstRegion]) -> None:
        """List the places of one map, worst first, unless they are listed already."""
        if (key, tuple(places)) == (self._key, self.places):
            return
        entry = MAPS[key]
        # filling changes the current cell, which would go to a place
        self.blockSignals(True)
        self._key, self.places = key, tuple(places)
        axes = list(places[0].plane) if places else []
        unit = format_unit(entry)
        value = entry.classes[-1] if entry.classes else unit or entry.title
        titles = ["#", value, *axes, "row", "column"]
        right = Qt.AlignmentFlag.AlignRight
        self.clear()
        self.setRowCount(len(places))
        self.setColumnCount(len(titles))
        self.setHorizontalHeaderLabels(titles)
        for row, place in enumerate(places):
            # of a map of classes, the share that is the worst one
            share = (
                f"{place.value:.0%}" if entry.classes else format_number(place.value)
            )
            middle = [f"{sum(ends) // 2}" for ends in (place.rows, place.columns)]
            numbers = [str(place.plane[axis]) for axis in axes]
            for column, text in enumerate([str(row + 1), share, *numbers, *middle]):
                item = QTableWidgetItem(text)
                item.setTextAlignment(right | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(row, column, item)
        if (header := self.horizontalHeader()) is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.setCurrentCell(-1, -1)
        self.blockSignals(False)

    def visit_next(self) -> None:
        """Go to the next place, and after the last to the first."""
        if self.places:
            self.setCurrentCell((self.currentRow() + 1) % len(self.places), 0)

    def _choose(self, row: int, *_: int) -> None:
        if 0 <= row < len(self.places):
            self.chosen.emit(self.places[row])
