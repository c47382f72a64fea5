"""Looking at a map: which one, its legend, threshold and opacity, its worst places.

It follows the active layer and writes into layers; what maps there are it reads from
the layers themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QLabeledSlider
from superqt.utils import signals_blocked

from napari_structsr.core.error_map import MAPS
from napari_structsr.engine.catalogue import find_card
from napari_structsr.errors import StructsrError
from napari_structsr.gui.controls import choice_combo
from napari_structsr.gui.error_layers import ShownInspection
from napari_structsr.gui.layers import KEY
from napari_structsr.gui.legend import Legend, number_text, unit_text
from napari_structsr.gui.map_colors import paint
from napari_structsr.gui.places import go_to_place
from napari_structsr.gui.worst_list import WorstList
from napari_structsr.models.calibration import TrustCalibration, read_calibration

if TYPE_CHECKING:
    from napari_structsr.engine.inspection import Inspection, WorstRegion

__all__ = ["MapPanel"]

_THRESHOLD = "threshold"


class MapPanel(QWidget):
    """Shows one map of an inspection at a time.

    Parameters
    ----------
    viewer
        The viewer that holds the maps.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._shown: ShownInspection | None = None
        self.map = choice_combo("Map", {})
        self.map.setToolTip("The map that is drawn over the result; others are hidden.")
        self.legend = Legend()
        self.threshold = _slider(
            "Draw only what is worse than this share of the way from good to bad."
        )
        self.level = QLabel()
        self.opacity = _slider("How strongly the map covers the image.")
        self.worst_label = QLabel("Worst places")
        self.worst = WorstList()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        grow = QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        form.setFieldGrowthPolicy(grow)
        form.addRow("Map", self.map)
        sliders = QFormLayout()
        sliders.setContentsMargins(0, 0, 0, 0)
        sliders.setFieldGrowthPolicy(grow)
        sliders.addRow("Threshold, %", self.threshold)
        sliders.addRow("", self.level)
        sliders.addRow("Opacity, %", self.opacity)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.legend)
        layout.addLayout(sliders)
        layout.addWidget(self.worst_label)
        layout.addWidget(self.worst, 1)
        self.map.currentIndexChanged.connect(self._choose)
        self.threshold.valueChanged.connect(self._set_threshold)
        self.opacity.valueChanged.connect(self._set_opacity)
        self.worst.chosen.connect(self.visit)

    @property
    def key(self) -> str | None:
        """The map that is shown."""
        key: str | None = self.map.currentData()
        return key

    @property
    def layer(self) -> Image | None:
        """The layer of the map that is shown."""
        layers = self._shown.layers if self._shown else {}
        return layers.get(self.key or "")

    def show_inspection(
        self, shown: ShownInspection | None, key: str | None = None
    ) -> None:
        """Offer the maps of an inspection.

        Parameters
        ----------
        shown
            The inspection, or None.
        key
            The map to show; None takes the one that is visible.
        """
        self._shown = shown
        layers = {} if shown is None else shown.layers
        visible = [name for name, layer in layers.items() if layer.visible]
        key = key or next(iter([*visible, *layers]), None)
        with signals_blocked(self.map):
            self.map.clear()
            for name in layers:
                self.map.addItem(MAPS[name].title, name)
            self.map.setCurrentIndex(self.map.findData(key))
        self._refresh()

    def visit(self, place: WorstRegion) -> None:
        """Go to a place, and draw a rectangle around it."""
        layer, shown = self.layer, self._shown
        if layer is None or shown is None:
            return
        plane = dict(place.plane)
        (top, bottom), (left, right) = place.rows, place.columns
        go_to_place(
            self._viewer,
            layer,
            (
                shown.position(plane, y=top - 0.5, x=left - 0.5),
                shown.position(plane, y=bottom - 0.5, x=right - 0.5),
            ),
        )

    def _choose(self) -> None:
        """Make the chosen map the only visible one."""
        if self._shown is not None:
            for name, layer in self._shown.layers.items():
                layer.visible = name == self.key
        self._refresh()

    def _set_threshold(self, percent: int) -> None:
        """Hide what is better."""
        if (layer := self.layer) is not None and self.key:
            layer.metadata[KEY][_THRESHOLD] = percent / 100
            paint(layer, MAPS[self.key], threshold=percent / 100)
            self._explain()

    def _set_opacity(self, percent: int) -> None:
        """Let the image shine through."""
        if (layer := self.layer) is not None:
            layer.opacity = percent / 100

    def _refresh(self) -> None:
        """Show what belongs to the map."""
        layer, key, shown = self.layer, self.key, self._shown
        there = layer is not None and key is not None and shown is not None
        for widget in (self.map, self.legend, self.threshold, self.opacity, self.worst):
            widget.setEnabled(there)
        self.worst_label.setVisible(there)
        self.worst.setVisible(there)
        self.legend.setVisible(there)
        self.level.setVisible(there)
        if layer is None or key is None or shown is None:
            return
        with signals_blocked(self.threshold):
            self.threshold.setValue(round(100 * _threshold_of(layer)))
        with signals_blocked(self.opacity):
            self.opacity.setValue(round(100 * layer.opacity))
        self.threshold.setEnabled(not MAPS[key].classes)
        places = [place for place in shown.inspection.worst if place.map == key]
        self.worst.show_places(key, places)
        self._explain()

    def _explain(self) -> None:
        """Show the legend, and the threshold as a value."""
        layer, key, shown = self.layer, self.key, self._shown
        if layer is None or key is None or shown is None:
            return
        entry, limits = MAPS[key], shown.inspection.limits[key]
        threshold = _threshold_of(layer)
        self.legend.show_map(
            key, limits, threshold, calibration=_calibration_of(shown.inspection)
        )
        if entry.classes:
            self.level.setText("classes have no threshold")
        elif threshold == 0:
            self.level.setText("everything is drawn")
        else:
            value = number_text(limits[0] + threshold * (limits[1] - limits[0]))
            side = "below" if entry.worse == "high" else "above"
            self.level.setText(f"hidden {side} {value} {unit_text(entry)}".rstrip())


def _calibration_of(inspection: Inspection) -> TrustCalibration | None:
    """Find the calibration on which an inspection rests: a file, or the model's."""
    name, factor = (inspection.record.model.get(key) for key in ("name", "factor"))
    given = inspection.record.settings.get("calibration")
    try:
        if given is not None:
            return read_calibration(Path(given))
        if not isinstance(name, str):
            return None
        return find_card(name, factor=factor).calibration
    except StructsrError:
        return None


def _threshold_of(layer: Image) -> float:
    """Return the threshold that a layer was painted with."""
    entry: dict[str, Any] = layer.metadata[KEY]
    return float(entry.get(_THRESHOLD, 0.0))


def _slider(tip: str) -> QLabeledSlider:
    """Make a slider in per cent."""
    slider = QLabeledSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, 100)
    slider.setPageStep(10)
    slider.setToolTip(tip)
    return slider
