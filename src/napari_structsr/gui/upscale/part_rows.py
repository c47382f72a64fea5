"""The rows of the form that choose a part of the layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QLineEdit, QPushButton, QWidget

from napari_structsr.gui.widgets.controls import NarrowCombo, fill_combo, row

_WHOLE = ("Whole planes", "All of every plane.")


class PartRows(QObject):
    """Region, planes and channels; empty fields take all."""

    changed = Signal()
    """The user has changed something."""
    drawn = Signal()
    """The user wants to draw a rectangle."""
    plane_asked = Signal()
    """The user wants the plane that is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.area = NarrowCombo("Region")
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Draw a rectangle on the image: what lies in it is taken.")
        self.planes = QLineEdit()
        self.planes.setAccessibleName("Planes")
        self.planes.setPlaceholderText("all")
        self.planes.setToolTip(
            "Planes to take, counted from 0, the last one left out: 3:10, or z=3:10 "
            "and t=0,z=5 where there are several axes. Empty takes all."
        )
        self.this_plane = QPushButton("This plane")
        self.this_plane.setToolTip("Take the plane that the viewer shows.")
        self.channels = QLineEdit()
        self.channels.setAccessibleName("Channels")
        self.channels.setPlaceholderText("all")
        self.channels.setToolTip(
            "Channels to take, by number from 0 or by name: 0,2 or DAPI. Empty takes "
            "all."
        )
        self._region = row(self.area, self.draw)
        self._planes = row(self.planes, self.this_plane)
        self.rows: list[tuple[str, QWidget]] = [
            ("Region", self._region),
            ("Planes", self._planes),
            ("Channels", self.channels),
        ]
        self.offer({})
        self.area.currentIndexChanged.connect(self._emit_changed)
        self.planes.editingFinished.connect(self._emit_changed)
        self.channels.editingFinished.connect(self._emit_changed)
        self.draw.clicked.connect(self._emit_drawn)
        self.this_plane.clicked.connect(self._emit_plane)

    def offer(self, areas: Mapping[str, str], chosen: str | None = None) -> None:
        """Offer layers of shapes by key and name; keep the choice if it is there."""
        entries = {"": _WHOLE}
        for key, name in areas.items():
            entries[key] = (name, f"The last rectangle of {name}.")
        fill_combo(self.area, entries, chosen or self.area.currentData())

    def show_rows(self, layout: QFormLayout, axes: str | None, *, offers: bool) -> None:
        """Show the rows that have a meaning for axes such as "tzyx"."""
        names = axes or ""
        layout.setRowVisible(self._region, offers)
        layout.setRowVisible(self._planes, offers and bool({*"tz"} & {*names}))
        layout.setRowVisible(self.channels, offers and "c" in names)

    def read(self) -> dict[str, Any]:
        """Return the fields of a `Choice` that the rows give."""
        # what is hidden means nothing for these layers
        shown = not self._planes.isHidden()
        return {
            "area": self.area.currentData() or None,
            "planes": self.planes.text().strip() if shown else "",
            "channels": self.channels.text() if not self.channels.isHidden() else "",
        }

    def _emit_changed(self) -> None:
        self.changed.emit()

    def _emit_drawn(self) -> None:
        self.drawn.emit()

    def _emit_plane(self) -> None:
        self.plane_asked.emit()
