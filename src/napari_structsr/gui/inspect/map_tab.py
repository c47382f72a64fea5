"""Looking at a map: which one, its legend, threshold and opacity, its worst places.

What is shown is read from the layer of the map, and what the user does is written into
it, so that the panel agrees with the controls of napari.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices, QStandardItemModel
from qtpy.QtWidgets import QCheckBox, QLabel, QToolButton, QVBoxLayout
from superqt import QLabeledSlider
from superqt.utils import signals_blocked

from napari_structsr.core.error_map import MAPS, choose_first_maps
from napari_structsr.errors import StructsrError
from napari_structsr.gui.inspect.found_panel import FoundPanel
from napari_structsr.gui.inspect.legend import Legend, format_unit, help_url
from napari_structsr.gui.inspect.map_layers import (
    ShownInspection,
    map_of,
    set_threshold,
    show_alone,
    switch_map,
    threshold_of,
)
from napari_structsr.gui.inspect.score_table import WorstTable
from napari_structsr.gui.inspect.state import describe_map
from napari_structsr.gui.viewer.navigation import go_to_place
from napari_structsr.gui.viewer.plain_text import make_plain
from napari_structsr.gui.widgets.controls import (
    NarrowCombo,
    complete_sentence,
    fill_combo,
    format_number,
    make_form,
    row,
    sentence,
)
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget
from napari_structsr.models.calibration import TrustCalibration, read_calibration
from napari_structsr.zoo.catalogue import find_card

if TYPE_CHECKING:
    from napari_structsr.inspection.results import Inspection, WorstRegion

_MORE = "More maps"


class MapPanel(ViewerWidget):
    """Shows one map of an inspection at a time."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._shown: ShownInspection | None = None
        self._followed_layer: Image | None = None
        self.found = FoundPanel()
        tip = "What the layer over the result shows; nothing is computed again."
        self.map = NarrowCombo("Map", tip)
        self.drawn = QCheckBox("show")
        self.drawn.setToolTip("Draw the map, or see the image below it.")
        self.help_button = QToolButton()
        self.help_button.setText("?")
        self.help_button.setAccessibleName("How to read this map")
        self.legend = Legend()
        self.threshold = _make_slider(
            "Threshold",
            "Draw only what is worse than this share of the way from good to bad.",
        )
        self.level = make_plain(QLabel())
        self.opacity = _make_slider("Opacity", "How strongly the map covers the image.")
        self.worst_label = make_plain(QLabel())
        self.worst = WorstTable()
        # what weakens a map is not to be overlooked
        self.doubt = sentence()
        self.doubt.setStyleSheet("QLabel { font-weight: bold; }")
        form, sliders = make_form(), make_form()
        # no title: at 1366 pixels it would cut the name of the map
        form.addRow(row(self.map, self.help_button, self.drawn))
        sliders.addRow("Threshold, %", self.threshold)
        sliders.addRow("", self.level)
        sliders.addRow("Opacity, %", self.opacity)
        self._sliders = sliders
        layout = QVBoxLayout(self)
        layout.addWidget(self.found)
        layout.addLayout(form)
        layout.addWidget(self.doubt)
        layout.addWidget(self.legend)
        layout.addWidget(self.worst_label)
        layout.addWidget(self.worst, 1)
        layout.addLayout(sliders)
        layout.addWidget(self.found.saving)
        self.map.currentIndexChanged.connect(self.draw)
        self.drawn.toggled.connect(self._set_drawn)
        self.threshold.valueChanged.connect(self._set_threshold)
        self.opacity.valueChanged.connect(self._set_opacity)
        self.worst.chosen.connect(self.visit)
        self.help_button.clicked.connect(self._open_help)

    @property
    def key(self) -> str | None:
        """The map that is shown."""
        key: str | None = self.map.currentData()
        return key

    @property
    def layer(self) -> Image | None:
        """The layer of the map that is shown."""
        return None if self._shown is None else self._shown.layer

    def show_inspection(
        self, shown: ShownInspection | None, key: str | None = None
    ) -> None:
        """Offer the maps of an inspection, and show one, by default the present one."""
        self._shown = shown
        self.found.show_inspection(shown)
        self._offer(key or (map_of(shown.layer) if shown else None))
        if shown is not None and self.key is not None:
            switch_map(shown.layer, self.key)
        self._list_places()
        self._refresh()

    def _offer(self, key: str | None) -> None:
        keys = self._shown.keys if self._shown else ()
        first = choose_first_maps(keys)
        more = [name for name in keys if name not in first]
        entries = {
            name: (MAPS[name].plain, describe_map(MAPS[name]))
            for name in [*first, *more]
        }
        fill_combo(self.map, entries, key)
        if not more:
            return
        with signals_blocked(self.map):
            self.map.insertItem(len(first), _MORE)
            if isinstance(model := self.map.model(), QStandardItemModel):
                heading = model.item(len(first))
                assert heading is not None
                heading.setFlags(Qt.ItemFlag.NoItemFlags)
            self.map.setCurrentIndex(max(0, self.map.findData(key)))

    def visit(self, place: WorstRegion) -> None:
        """Go to a place, and draw a rectangle around it."""
        layer, shown = self.layer, self._shown
        if layer is None or shown is None:
            return
        # edges of pixels: napari counts from the middle of the first one
        first, last = (
            shown.position(dict(place.plane), y=row - 0.5, x=column - 0.5)
            for row, column in zip(place.rows, place.columns, strict=True)
        )
        go_to_place(self._viewer, layer, (first, last))

    def draw(self) -> None:
        """Draw the chosen map, and no other."""
        if (layer := self.layer) is not None and self.key is not None:
            switch_map(layer, self.key)
            show_alone(self._viewer, layer)
        self._list_places()
        self._refresh()

    def _open_help(self) -> None:
        if self.key is not None:
            QDesktopServices.openUrl(QUrl(help_url(self.key)))

    def _set_drawn(self, wanted: bool) -> None:
        if wanted:
            self.draw()
        elif (layer := self.layer) is not None:
            layer.visible = False

    def _set_threshold(self, percent: int) -> None:
        if (layer := self.layer) is not None and self.key:
            set_threshold(layer, percent / 100)
            self._refresh()

    def _set_opacity(self, percent: int) -> None:
        if (layer := self.layer) is not None:
            layer.opacity = percent / 100

    def _refresh(self) -> None:
        if self.is_gone:
            return
        layer, key, shown = self.layer, self.key, self._shown
        if layer != self._followed_layer:
            self.release()
            self._followed_layer = layer
            if layer is not None:
                # what napari's own controls do to a map is shown here too
                events = layer.events
                signals = (events.visible, events.opacity, events.contrast_limits)
                self.follow(*((signal, self._refresh) for signal in signals))
        if layer is None or key is None or shown is None:
            return
        entry, threshold = MAPS[key], threshold_of(layer)
        for widget, value in (
            (self.threshold, round(100 * threshold)),
            (self.opacity, round(100 * layer.opacity)),
        ):
            with signals_blocked(widget):
                widget.setValue(value)
        with signals_blocked(self.drawn):
            self.drawn.setChecked(layer.visible)
        self.threshold.setEnabled(not entry.classes)
        low, high = map(float, layer.contrast_limits)
        # from the best to the worst
        limits = (low, high) if entry.worse == "high" else (high, low)
        self.help_button.setToolTip(f"How to read this map: {help_url(key)}")
        doubts = map(complete_sentence, shown.inspection.doubts.get(key, ()))
        self.doubt.setText("\n".join(doubts))
        self.doubt.setVisible(bool(self.doubt.text()))
        calibration = _find_calibration(shown.inspection)
        self.legend.show_map(key, limits, threshold, calibration=calibration)
        self._sliders.setRowVisible(self.level, entry.classes != () or threshold > 0)
        if entry.classes:
            self.level.setText("classes have no threshold")
        elif threshold == 0:
            self.level.setText("")
        else:
            value = format_number(limits[0] + threshold * (limits[1] - limits[0]))
            side = "below" if entry.worse == "high" else "above"
            self.level.setText(f"hidden {side} {value} {format_unit(entry)}".rstrip())

    def _list_places(self) -> None:
        if self.key is None or self._shown is None:
            return
        places = [p for p in self._shown.inspection.worst if p.map == self.key]
        self.worst.show_places(self.key, places)
        if not places:
            heading = "No place is worse than is usual here."
        elif self.key in self._shown.inspection.cut:
            heading = f"The {len(places)} worst places (there are more)"
        else:
            heading = "Unusually bad places"
        self.worst_label.setText(heading)


def _find_calibration(inspection: Inspection) -> TrustCalibration | None:
    # a file of the user replaces the calibration of the model
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


def _make_slider(name: str, tip: str) -> QLabeledSlider:
    slider = QLabeledSlider(Qt.Orientation.Horizontal)
    slider.setAccessibleName(f"{name}, %")
    slider.setRange(0, 100)
    slider.setPageStep(10)
    slider.setToolTip(tip)
    return slider
