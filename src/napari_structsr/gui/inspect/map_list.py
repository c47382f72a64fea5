"""The maps of structure error as a list to be ticked, each with its blind spot."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QSizePolicy
from superqt.utils import signals_blocked

from napari_structsr.core.error_map import MAPS
from napari_structsr.gui.inspect.state import describe_map

__all__ = ["MapList"]

_KEY = Qt.ItemDataRole.UserRole


class MapList(QListWidget):
    """All maps, to be ticked; those that cannot be computed say why."""

    ticked = Signal()
    """The user has ticked or unticked a map."""

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[str, QListWidgetItem] = {}
        for needs_reference, heading in (
            (True, "Against the reference: what is wrong"),
            (False, "Source alone: what is unsupported"),
        ):
            title = QListWidgetItem(heading)
            title.setFlags(Qt.ItemFlag.NoItemFlags)
            font = title.font()
            font.setBold(True)
            title.setFont(font)
            self.addItem(title)
            for key, entry in MAPS.items():
                if entry.needs_reference == needs_reference:
                    item = QListWidgetItem(entry.title)
                    item.setData(_KEY, key)
                    item.setCheckState(Qt.CheckState.Unchecked)
                    self.addItem(item)
                    self._items[key] = item
        line = max(self.sizeHintForRow(0), self.fontMetrics().lineSpacing())
        self.setFixedHeight(self.count() * line + 2 * self.frameWidth() + 4)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Maps")
        self.itemChanged.connect(self._tell)

    def item_of(self, key: str) -> QListWidgetItem:
        """Return the line of a map."""
        return self._items[key]

    def keys(self) -> frozenset[str]:
        """Return what is ticked, also where it cannot be computed."""
        return frozenset(
            key
            for key, item in self._items.items()
            if item.checkState() == Qt.CheckState.Checked
        )

    def show_ticks(
        self, keys: frozenset[str], obstacles: Mapping[str, str | None]
    ) -> None:
        """Tick maps, and say of each what it means or why it cannot be computed."""
        with signals_blocked(self):
            for key, item in self._items.items():
                obstacle = obstacles.get(key)
                ticked = key in keys
                state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
                item.setCheckState(state)
                item.setFlags(_flags(enabled=obstacle is None))
                item.setToolTip(describe_map(MAPS[key], obstacle))

    def _tell(self) -> None:
        """Drop what the signal carries."""
        self.ticked.emit()


def _flags(*, enabled: bool) -> Qt.ItemFlag:
    """Return the flags of a line that can be ticked."""
    base = Qt.ItemFlag.ItemIsUserCheckable
    return base | Qt.ItemFlag.ItemIsEnabled if enabled else base
