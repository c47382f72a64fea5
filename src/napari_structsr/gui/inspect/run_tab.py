"""What to inspect, and the button that does it: the first tab of the dock.

The layers in the form follow the selection until the user chooses one by hand.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout

from napari_structsr.gui.inspect.form import ErrorForm
from napari_structsr.gui.inspect.placement import lies_elsewhere, place_on
from napari_structsr.gui.inspect.roles import ImageFacts
from napari_structsr.gui.inspect.run import (
    inspect_layer,
    list_image_facts,
    list_region_layers,
    match_obstacle,
    selection_obstacle,
)
from napari_structsr.gui.inspect.state import (
    ErrorDockState,
    InspectChoice,
    resolve_inspection,
    suggest,
    swap_roles,
)
from napari_structsr.gui.settings import read_preferences
from napari_structsr.gui.viewer.layers import key_of, list_events
from napari_structsr.gui.widgets.cluster_row import follow_cluster
from napari_structsr.gui.widgets.controls import enable, sentence, show_reasons
from napari_structsr.gui.widgets.progress_row import ProgressRows
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget


class InspectPanel(ViewerWidget):
    """Inspects layers of a viewer."""

    finished = Signal(object)
    """The `Inspection` that has just been shown."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._by_hand = False
        self._choice = InspectChoice(device=read_preferences().device)
        self._images: list[ImageFacts] = []
        self.form = ErrorForm()
        self.run_button = QPushButton("Run")
        self.cancel_button = QPushButton("Cancel")
        self.reason = sentence()
        self.elsewhere = sentence()
        self.place_button = QPushButton("Place the reference on the result")
        self.place_button.setToolTip(
            "Give the reference the field of view of the result in the viewer: scale, "
            "place and unit of its layer along y and x. Its pixels and file stay."
        )
        actions = QHBoxLayout()
        actions.addWidget(self.run_button, 2)
        actions.addWidget(self.cancel_button, 1)
        self.jobs = ProgressRows()
        layout = QVBoxLayout(self)
        layout.addWidget(self.form)
        layout.addLayout(actions)
        layout.addWidget(self.reason)
        layout.addWidget(self.elsewhere)
        layout.addWidget(self.place_button)
        layout.addLayout(self.jobs)
        layout.addStretch(1)
        self.follow(*((signal, self._follow) for signal in list_events(self._viewer)))
        self.form.layers_chosen.connect(self._take_by_hand)
        self.form.changed.connect(self._take)
        self.form.swap_asked.connect(self._swap)
        self.form.selection_asked.connect(self.take_selection)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.jobs.cancel)
        self.place_button.clicked.connect(self.place_reference)
        self._follow()

    def _follow(self) -> None:
        images = self._images = list_image_facts(self._viewer)
        keys = {image.key for image in images}
        layers = self._viewer.layers
        selected = [key_of(one) for one in layers if one in layers.selection]
        selected = [key for key in selected if key in keys]
        # a choice by hand ends with its layer
        gone = self._choice.result not in keys
        if selected and (gone or not self._by_hand):
            self._by_hand = False
            self._choice = suggest(images, selected, choice=self._choice)
        self._show()

    def take_selection(self, *, needs_reference: bool = True) -> None:
        """Fill in the selected layers, whatever the user chose before.

        Without `needs_reference`, none of them is taken as the reference.
        """
        self._by_hand = False
        self._follow()
        if not needs_reference:
            self._choice = replace(self._choice, reference=None)
            self._show()

    def _take_by_hand(self) -> None:
        self._by_hand = True

    def _take(self) -> None:
        self._choice = self.form.choice()
        self._show()

    def _swap(self) -> None:
        self._by_hand = True
        self._choice = swap_roles(self._choice, self._images)
        self._show()

    def state(self) -> ErrorDockState:
        """Return what there is to show."""
        return resolve_inspection(
            self._choice,
            self._images,
            regions=[key_of(layer) for layer in list_region_layers(self._viewer)],
            match_obstacle=match_obstacle(self._viewer, self._choice),
            selection_obstacle=selection_obstacle(self._viewer),
            busy=self.jobs.is_busy,
            has_dask=find_spec("distributed") is not None,
        )

    def _show(self) -> None:
        state = self.state()
        drawn = list_region_layers(self._viewer)
        chosen = [layer for layer in drawn if key_of(layer) == state.choice.regions]
        self.form.show_state(
            state,
            images=[(image.key, image.name) for image in self._images],
            regions=[(key_of(layer), layer.name) for layer in drawn],
            # shapes can be drawn on planes of a stack, labels cover them all
            flat=not any(hasattr(la, "shape_type") and la.ndim > 2 for la in chosen),
        )
        enable(self.run_button, state.run, "Compute the ticked maps and all scores.")
        enable(
            self.cancel_button,
            None if self.jobs.is_busy else "Nothing is running.",
            "Stop at the next tile.",
        )
        show_reasons(self.reason, state.run, said=(state.hint,))
        self._offer_place(state.run)

    def _offer_place(self, obstacle: str | None) -> None:
        """Offer to move a reference without pixel size onto the result."""
        pair = self._chosen_pair()
        beside = obstacle is None and pair is not None and lies_elsewhere(*pair)
        self.place_button.setVisible(beside)
        self.elsewhere.setVisible(beside)
        if pair is not None and beside:
            result, reference = pair
            self.elsewhere.setText(
                f"{reference.name} has no pixel size of its own, or {result.name} has "
                "none: they are compared as one field of view, but lie apart in the "
                "viewer."
            )

    def _chosen_pair(self) -> tuple[Image, Image] | None:
        layers: dict[str | None, Any] = {
            key_of(one): one for one in self._viewer.layers
        }
        result, reference = (
            layers.get(key) for key in (self._choice.result, self._choice.reference)
        )
        return None if result is None or reference is None else (result, reference)

    def place_reference(self) -> None:
        """Lay the reference on the result, see `place_on`."""
        if (pair := self._chosen_pair()) is not None:
            place_on(*pair)
            self._show()

    def run(self) -> None:
        """Inspect, if that is possible."""
        state = self.state()
        if state.run is not None:
            return
        self.jobs.clear()
        job = inspect_layer(self._viewer, state)
        name = job.name.removeprefix("Inspecting ")
        row = self.jobs.add(job, name, resumable=state.choice.folder is not None)
        if state.choice.scheduler:
            follow_cluster(row)
        job.finished.connect(self._tell)
        job.ended.connect(self._show)
        self._show()

    def _tell(self, event: Any) -> None:
        self.finished.emit(event.output)
