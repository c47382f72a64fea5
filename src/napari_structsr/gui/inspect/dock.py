"""The dock for structure error: what to inspect, the maps, the scores, and comparing.

Maps and scores are read from the layers of the viewer, so that a dock that is opened
later shows them too. Opening the dock imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from napari.layers import Image
from napari.utils.notifications import show_info, show_warning
from napari.viewer import Viewer
from qtpy.QtWidgets import QLabel, QScrollArea, QTabWidget, QWidget

from napari_structsr.gui.compare.panel import ComparePanel
from napari_structsr.gui.inspect.map_layers import (
    ShownInspection,
    hide_other_images,
    inspection_of,
    list_inspections,
    map_of,
)
from napari_structsr.gui.inspect.map_tab import MapPanel
from napari_structsr.gui.inspect.run_tab import InspectPanel
from napari_structsr.gui.inspect.score_tab import ScorePanel
from napari_structsr.gui.viewer.layers import free_name
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.controls import (
    NarrowCombo,
    fill_combo,
    make_form,
    stack,
)
from napari_structsr.gui.widgets.viewer_widget import NEXT_PLACE_KEY, SWIPE_KEY, Dock

if TYPE_CHECKING:
    from napari_structsr.inspection.results import Inspection

Tab = Literal["Inspect", "Map", "Scores", "Compare"]


class ErrorDock(Dock):
    """Shows where not to believe a result."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._shown: ShownInspection | None = None
        self.inspect = InspectPanel(napari_viewer)
        self.maps = MapPanel(napari_viewer)
        self.scores = ScorePanel(napari_viewer)
        self.compare = ComparePanel(napari_viewer)
        self.tabs = QTabWidget()
        tip = "The result whose maps and scores are shown."
        self.which = NarrowCombo("Inspected", tip)
        self._nothing = QLabel("No maps yet: choose layers under Inspect, then Run.")
        self._lay_out()
        layers = napari_viewer.layers
        self.follow(
            (layers.events.inserted, self._follow_layers),
            (layers.events.removed, self._follow_layers),
            (layers.selection.events.active, self._follow_active),
            (napari_viewer.dims.events.point, self.scores.follow_plane),
        )
        self.inspect.finished.connect(self._show_new)
        self.which.currentIndexChanged.connect(self._choose)
        self.bind_key(SWIPE_KEY, self.compare.form.buttons["swipe"].click)
        self.bind_key(NEXT_PLACE_KEY, self.maps.worst.visit_next)
        self._show()

    def _lay_out(self) -> None:
        self._nothing.setWordWrap(True)
        maps = QWidget()
        stack(maps, self._nothing, self.maps)
        for name, widget, tip in (
            ("Inspect", self.inspect, "Choose layers and maps, and compute."),
            ("Map", maps, "Look at one map, and go to its worst places."),
            ("Scores", self.scores, "Numbers of each plane, channel and region."),
            ("Compare", self.compare, "See layers side by side, in turn, or swiped."),
        ):
            area = QScrollArea()
            area.setWidgetResizable(True)
            area.setFrameShape(QScrollArea.Shape.NoFrame)
            area.setWidget(widget)
            self.tabs.setTabToolTip(self.tabs.addTab(area, name), tip)
        self.setMinimumWidth(320)  # room for a sentence
        self._choices = make_form()
        self._choices.setContentsMargins(6, 4, 6, 0)
        self._choices.addRow("Inspected", self.which)
        stack(self, self._choices, self.tabs)

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        # parts do not see when the dock is taken away
        super().release()
        for part in (self.inspect, self.maps, self.compare):
            part.release()

    def open_tab(self, name: Tab) -> None:
        """Show one of the tabs."""
        self.tabs.setCurrentIndex(get_args(Tab).index(name))

    def _show(self, key: str | None = None) -> None:
        found = list_inspections(self._viewer)
        last = self._shown.inspection if self._shown else None
        # the one shown before, else the one on top
        same = [one for one in found if one.inspection is last]
        self._shown = next(iter([*same, *found[::-1]]), None)
        names: list[str] = []
        for shown in found:
            names.append(free_name(shown.result, names))
        here = next((n for n, one in enumerate(found) if one is self._shown), None)
        fill_combo(self.which, {n: (name, "") for n, name in enumerate(names)}, here)
        self._choices.setRowVisible(self.which, len(found) > 1)
        self._nothing.setVisible(self._shown is None)
        self.maps.setVisible(self._shown is not None)
        keys = self._shown.keys if self._shown else ()
        self.maps.show_inspection(self._shown, key if key in keys else None)
        self.scores.show_inspection(self._shown)

    def _choose(self, index: int) -> None:
        self._turn_to(list_inspections(self._viewer)[index].inspection, None)
        self.maps.draw()

    def _follow_layers(self) -> None:
        if not self.is_gone:
            self._show()

    def _follow_active(self) -> None:
        # a map that is clicked in the layer list is shown here too
        if not self.is_gone:
            active = self._viewer.layers.selection.active
            self._turn_to(inspection_of(active), map_of(active))

    def _turn_to(self, inspection: object, key: str | None) -> None:
        for shown in list_inspections(self._viewer):
            if shown.inspection is inspection:
                self._shown = shown
                self._show(key)

    def _show_new(self, inspection: Inspection) -> None:
        self._turn_to(inspection, None)
        # maps would cover what is compared, and their tab the controls of that
        if self.compare.comparison is None:
            self.open_tab("Map")
            # a truth above the result would be what the map seems to lie on
            if self._shown is not None:
                hide_other_images(self._viewer, self._shown)
        else:
            show_info("The maps of structure error are ready, under Map.")
            self.compare.comparison.ended.connect(self.maps.draw)

    def inspect_selection(self, *, needs_reference: bool) -> None:
        """Inspect the selected layers, or say what is missing."""
        self.open_tab("Inspect")
        self.inspect.take_selection(needs_reference=needs_reference)
        state = self.inspect.state()
        if needs_reference and state.choice.reference is None:
            show_warning("Select two image layers: the result and its reference.")
        elif state.run:
            show_warning(keep_plain(state.run))
        else:
            self.inspect.run()

    def compare_selection(self) -> None:
        """Show the selected image layers side by side."""
        self.open_tab("Compare")
        layers = self._viewer.layers
        self.compare.end()
        self.compare.layers = [
            one for one in layers if one in layers.selection and isinstance(one, Image)
        ]
        self.compare.start("side by side")
