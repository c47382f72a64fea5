"""Values under the cursor, in several layers at once.

A value is that of the finest level: what was measured or computed, not what the canvas
shows of it. In the status bar, the values of all layers take the place of what napari
finds at the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask
import numpy as np
import numpy.typing as npt
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
)
from superqt.utils import QSignalThrottler

from napari_structsr.gui.viewer.plain_text import keep_plain

_PAUSE = 50  # milliseconds between two looks
_NOTHING = "–"
_WIDTH = 240  # pixels of the table, unless there is more room


def read_value(
    layer: Image, position: Sequence[float], *, units: Sequence[Any] | None = None
) -> npt.NDArray[Any] | None:
    """Return the value of a layer's finest level at a position in the world.

    A position has a number for each dimension of the viewer; a layer of fewer
    dimensions takes the last ones. Its pint units are those of the layer by default.
    The value has no axes, or shape (3,) or (4,) for colour; outside there is None.
    """
    index = _find_index(layer, position, units)
    return None if index is None else _read_pixel(layer, index)


def format_value(value: npt.NDArray[Any] | None) -> str:
    """Write a value: integers in full, other numbers to four digits."""
    if value is None:
        return _NOTHING
    return ", ".join(
        str(int(v)) if np.issubdtype(value.dtype, np.integer) else f"{v:.4g}"
        for v in np.atleast_1d(value)
    )


def format_position(viewer: Viewer, layers: Sequence[Image], position: Any) -> str:
    """Write a position in the world to a tenth of the smallest pixel, with its units.

    Axes that somebody has named have their names; there is one unit if all share it.
    """
    pixel = min(float(np.abs(layer.scale[-2:]).min()) for layer in layers)
    digits = max(0, 1 + int(np.ceil(-np.log10(pixel))))
    texts = [f"{value:.{digits}f}" for value in position]
    units = [f"{u:~}" if u is not None else "" for u in _find_units(viewer) or ()]
    if len(set(units)) > 1:
        texts = [f"{text} {unit}" for text, unit in zip(texts, units, strict=True)]
    names = viewer.dims.axis_labels
    # napari numbers the axes that nobody has named, from the last one back
    if any(name.lstrip("-").isdigit() for name in names):
        text = f"[{', '.join(texts)}]"
    else:
        text = ", ".join(f"{n} {text}" for n, text in zip(names, texts, strict=True))
    return f"{text} {units[0]}" if len(set(units)) == 1 else text


class Readout(QObject):
    """Follows the cursor of a viewer, and looks up what several layers hold there.

    The layers, and whether the status bar shows the values too, can change at any time.
    """

    changed = Signal(str, list)
    """Position and values, as texts."""

    def __init__(
        self, viewer: Viewer, layers: Sequence[Image] = (), *, in_status: bool = False
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._layers = list(layers)
        self._in_status = in_status
        self._cache: dict[Image, tuple[tuple[int, ...], Any, Any]] = {}
        self._text = ""
        self._napari_status: Any = "Ready"
        self._follows = False
        # napari tells of every move of the mouse, and a pixel may lie in a file
        self._pause = QSignalThrottler(parent=self)
        self._pause.setTimeout(_PAUSE)
        self._pause.triggered.connect(self._update)
        self.follow(True)

    @property
    def layers(self) -> list[Image]:
        """The images that are looked at."""
        return self._layers

    @layers.setter
    def layers(self, layers: Sequence[Image]) -> None:
        self._layers = list(layers)
        self._cache = {key: v for key, v in self._cache.items() if key in layers}
        self._update()

    @property
    def in_status(self) -> bool:
        """Whether the status bar shows the values too."""
        return self._in_status

    @in_status.setter
    def in_status(self, wanted: bool) -> None:
        self._in_status = wanted
        if not wanted:
            self._give_back()

    def follow(self, wanted: bool) -> None:
        """Begin or stop following; stopping leaves the status bar to napari."""
        if wanted == self._follows:
            return
        self._follows = wanted
        viewer = self._viewer
        dims = viewer.dims.events
        for signal, slot in (
            (viewer.cursor.events.position, self._request_update),
            (dims.point, self._request_update),
            (dims.ndisplay, self._request_update),
            (viewer.events.status, self._on_status),
        ):
            (signal.connect if wanted else signal.disconnect)(slot)
        if not wanted:
            self._pause.cancel()
            self._give_back()

    def _request_update(self) -> None:
        # the viewer may outlive its window
        if isalive(self):  # type: ignore[no-untyped-call]
            self._pause.throttle()

    def _update(self) -> None:
        viewer, layers = self._viewer, self._layers
        # a layer can be gone without anybody having said so here
        there = [layer for layer in layers if layer in viewer.layers]
        if not self._follows or not there or viewer.dims.ndisplay != 2:
            self._give_back()
            self.changed.emit("", [_NOTHING] * len(layers))
            return
        position = np.array(viewer.dims.point)
        shown = list(viewer.dims.displayed)
        cursor = viewer.cursor.position
        # of another length: the mouse has not moved since the dimensions changed
        if len(cursor) == len(position):
            position[shown] = np.array(cursor)[shown]
        units = _find_units(viewer)
        values = {la: self._read_cached(la, position, units) for la in there}
        texts = [format_value(values.get(layer)) for layer in layers]
        place = format_position(viewer, there, position)
        pairs = zip(layers, texts, strict=True)
        self._text = f"{place}    " + "    ".join(f"{a.name}: {b}" for a, b in pairs)
        self.changed.emit(place, texts)
        self._show()

    def _read_cached(self, layer: Image, position: Any, units: Any) -> Any:
        index = _find_index(layer, position, units)
        if index is None:
            return None
        known = self._cache.get(layer)
        if known is None or known[0] != index or known[1] is not layer.data:
            known = (index, layer.data, _read_pixel(layer, index))
            # an array in memory costs nothing, and may be written to in place
            if not isinstance(_get_finest(layer), np.ndarray):
                self._cache[layer] = known
        return known[2]

    def _on_status(self, event: Any) -> None:
        # what napari writes comes back when the values go
        if event.value != self._text:
            self._napari_status = event.value
            self._show()

    def _show(self) -> None:
        # what napari writes once the mouse has left the canvas stays
        if self._in_status and self._text and self._napari_status not in ("", "Ready"):
            self._viewer.status = self._text

    def _give_back(self) -> None:
        text, self._text = self._text, ""
        if text and self._viewer.status == text:
            self._viewer.status = self._napari_status


class ValueTable(QTableWidget):
    """One row for each layer: its name and its value."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.setHorizontalHeaderLabels(["Layer", "Value"])
        self.setAccessibleName("Values under the cursor")
        self.setToolTip("What each layer holds where the mouse is, in its finest level")
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizeAdjustPolicy(QTableWidget.SizeAdjustPolicy.AdjustToContents)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        if (rows := self.verticalHeader()) is not None:
            rows.hide()
        if (columns := self.horizontalHeader()) is not None:
            columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            columns.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return room for all rows, but not for the longest name."""
        return QSize(_WIDTH, super().sizeHint().height())

    def show_names(self, names: Sequence[str]) -> None:
        """Make a row for each layer."""
        self.setRowCount(len(names))
        for row, name in enumerate(names):
            item, value = QTableWidgetItem(name), QTableWidgetItem(_NOTHING)
            item.setToolTip(keep_plain(name))
            value.setTextAlignment(
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            )
            self.setItem(row, 0, item)
            self.setItem(row, 1, value)
        self.updateGeometry()

    def show_values(self, texts: Sequence[str]) -> None:
        """Write the values."""
        for row, text in enumerate(texts):
            if (item := self.item(row, 1)) is not None:
                item.setText(text)


def _find_index(
    layer: Image, position: Sequence[float], units: Sequence[Any] | None
) -> tuple[int, ...] | None:
    """Return the pixel of the finest level at a position; None outside."""
    point = np.array(position, dtype=float)[-layer.ndim :]
    if units is not None:
        pairs = zip(point, list(units)[-layer.ndim :], layer.units, strict=True)
        point = np.array([(p * a).to(b).magnitude for p, a, b in pairs])
    # half a pixel counts up everywhere; rint would take the even one
    index = np.floor(layer.world_to_data(point) + 0.5)
    sizes = _get_finest(layer).shape[: layer.ndim]
    inside = np.isfinite(index) & (index >= 0) & (index < sizes)
    return tuple(int(i) for i in index) if inside.all() else None


def _read_pixel(layer: Image, index: tuple[int, ...]) -> npt.NDArray[Any]:
    # threads of dask would only cost time for one pixel
    with dask.config.set(scheduler="synchronous"):
        return np.asarray(_get_finest(layer)[index])


def _get_finest(layer: Image) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def _find_units(viewer: Viewer) -> Sequence[Any] | None:
    """Return the units of the world; None if layers contradict each other."""
    units: Sequence[Any] | None = viewer.layers.units
    return units if units and len(units) == viewer.dims.ndim else None
