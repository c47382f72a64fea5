"""The first step: the list of pairs of low and high resolution.

The layers in the form follow the selection until the user chooses one by hand.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from napari.layers import Layer, Shapes
from napari.utils.notifications import show_warning
from napari.viewer import Viewer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QPushButton

from napari_structsr.engine.events import Finished
from napari_structsr.errors import StructsrError
from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.finetune.pairs_form import PairForm
from napari_structsr.gui.finetune.pairs_overlay import PairOverlays
from napari_structsr.gui.finetune.pairs_requests import (
    count_regions,
    list_images,
    list_unusable_layers,
    make_requests,
)
from napari_structsr.gui.finetune.pairs_state import (
    PairsChoice,
    PairsState,
    resolve_pairs,
    suggest_pair,
)
from napari_structsr.gui.finetune.pairs_table import PairTable
from napari_structsr.gui.finetune.run import make_pairs
from napari_structsr.gui.finetune.split_panel import SplitPanel
from napari_structsr.gui.finetune.train_state import Parent
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.layers import (
    KEY,
    copy_placement,
    free_name,
    key_of,
    list_events,
    names_of,
)
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.controls import (
    enable,
    row,
    sentence,
    show_reasons,
    stack,
)
from napari_structsr.gui.widgets.progress_row import ProgressRows
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget

_REGIONS = "fine-tune regions"


class PairsPanel(ViewerWidget):
    """Makes pairs from layers of a viewer, whose selection is followed."""

    changed = Signal()
    """Pairs or split are others, or are being made."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._chosen_by_hand = False
        self._choice = PairsChoice()
        self._parent_factor: int | None = None
        self.entries: list[PairEntry] = []
        self.rows = ProgressRows()

        self.form = PairForm()
        self.draw_button = QPushButton("Draw regions")
        self.add_button = QPushButton("Add pairs")
        self.reason = sentence()
        self.table = PairTable()
        self.remove_button = QPushButton("Remove")
        self.split = SplitPanel(viewer)
        self.overlays = PairOverlays(viewer)
        stack(
            self,
            self.form,
            row(self.draw_button, self.add_button),
            self.reason,
            self.rows,
            self.table,
            self.remove_button,
            self.split,
            margins=(4, 0, 4, 4),
        )
        self.follow(*((one, self._follow_selection) for one in list_events(viewer)))
        # layers first: the new state must not follow the selection any more
        self.form.layers_chosen.connect(self._keep_layers)
        self.form.changed.connect(self._read_form)
        self.draw_button.clicked.connect(self.draw_regions)
        self.add_button.clicked.connect(self.add_pairs)
        self.table.ticked.connect(self._toggle_overlay)
        self.table.selected.connect(self._refresh)
        self.remove_button.clicked.connect(self.remove_chosen)
        self.split.changed.connect(self.changed)
        self._follow_selection()

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        super().release()
        self.rows.cancel()
        self.split.release()
        self.overlays.clear()

    @property
    def usable(self) -> list[PairEntry]:
        """The pairs that were not refused."""
        return [entry for entry in self.entries if entry.pair is not None]

    @property
    def is_busy(self) -> bool:
        """Whether pairs or the split are being made."""
        return self.rows.is_busy or self.split.is_busy

    def state(self) -> PairsState:
        """Return what there is to show."""
        counts = count_regions(self._viewer)
        return resolve_pairs(
            self._choice,
            list_images(self._viewer),
            regions={key: count for key, (_, count) in counts.items()},
            # all pairs of a list have one factor
            there=next((one.pair.factor for one in self.usable if one.pair), None),
            parent=self._parent_factor,
            unusable=list_unusable_layers(self._viewer),
            busy=self.rows.is_busy,
        )

    def use_parent(self, parent: Parent | None) -> None:
        """Take the model to begin with."""
        self._parent_factor = None if parent is None else parent.factor
        self.split.use_parent(parent)
        self._refresh()

    def draw_regions(self) -> None:
        """Let the user draw rectangles on the low-resolution layer."""
        choice = self.state().choice
        key = choice.high if choice.kind == "high" else choice.low
        image = next((one for one in self._viewer.layers if key_of(one) == key), None)
        if image is None:
            return
        # one layer of regions for each image: a second click goes on drawing there
        drawn = (
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Shapes)
            and layer.metadata.get(KEY) == "regions"
            and np.array_equal(layer.scale, image.scale)
        )
        if (regions := next(drawn, None)) is None:
            regions = _make_regions(image, free_name(_REGIONS, names_of(self._viewer)))
            regions.events.data.connect(self._refresh)
            self._viewer.layers.append(regions)
        self._chosen_by_hand = True
        self._choice = replace(choice, regions=key_of(regions))
        self._viewer.layers.selection.active = regions
        regions.visible = True  # the split has taken its place once there are pairs
        regions.mode = "add_rectangle"
        self._refresh()

    def add_pairs(self) -> None:
        """Make the pairs that the form asks for, in the background."""
        state = self.state()
        if state.add is not None:
            return
        try:
            requests = make_requests(
                self._viewer, state, taken={entry.name for entry in self.entries}
            )
        except StructsrError as error:
            show_warning(keep_plain(str(error)))
            return
        there = list(self.entries)  # the worker must not see what is added meanwhile
        # a click on "Add pairs" after drawing one more region adds that one alone
        known = [entry.request for entry in self.usable]
        requests = [one for one in requests if not any(map(one.is_same_as, known))]
        if not requests:
            show_warning("All of these are pairs already: draw another region.")
            return
        for layer in self._viewer.layers:
            # the rectangles would hide those of the split, which take their place
            if key_of(layer) == state.choice.regions:
                layer.mode = "pan_zoom"
                layer.visible = layer.metadata.get(KEY) != "regions"
        job = Job(
            "Making pairs", lambda cancel: make_pairs(requests, there, cancel=cancel)
        )
        self.rows.clear()
        self.rows.add(job, "Registering", resumable=False)
        job.finished.connect(self._add_made_pairs)
        job.ended.connect(self._end_making)
        job.start()
        self._refresh()
        self.changed.emit()

    def remove_chosen(self) -> None:
        """Forget the chosen pairs, or all if none is chosen."""
        rows = self.table.rows() or range(len(self.entries))
        for number in rows:
            self.overlays.hide(self.entries[number])
        self.entries = [
            entry for n, entry in enumerate(self.entries) if n not in set(rows)
        ]
        self.table.table.clearSelection()
        self._refresh()
        self.split.use_pairs(self.usable)

    def _add_made_pairs(self, event: Finished) -> None:
        first = len(self.entries)
        self.entries += event.output
        self._refresh()
        # the reason of a refusal is what a user needs to read next
        refused = (n for n, e in enumerate(event.output, first) if e.pair is None)
        self.table.choose(next(refused, first))
        self.split.use_pairs(self.usable)

    def _end_making(self) -> None:
        # what was cancelled or failed stays in sight until the next attempt
        if self.rows.rows[-1].text == "done":
            self.rows.clear()
        self._refresh()
        self.changed.emit()

    def _toggle_overlay(self, number: int, wanted: bool) -> None:
        change = self.overlays.show if wanted else self.overlays.hide
        change(self.entries[number])

    def _follow_selection(self) -> None:
        images = list_images(self._viewer)
        keys = {image.key for image in images}
        wanted = {self._choice.low, self._choice.high} - {None}
        if not self._chosen_by_hand or not wanted <= keys:
            self._chosen_by_hand = False
            layers = self._viewer.layers
            selected = [one for one in layers if one in layers.selection]
            # the layer clicked last comes last
            selected.sort(key=lambda one: one is layers.selection.active)
            found = [key_of(one) for one in selected if key_of(one) in keys]
            self._choice = suggest_pair(images, found, choice=self._choice)
        self._refresh()

    def _keep_layers(self) -> None:
        self._chosen_by_hand = True

    def _read_form(self) -> None:
        self._choice = self.form.choice()
        self._refresh()

    def _refresh(self) -> None:
        state = self.state()
        self._choice = state.choice
        images = [(image.key, image.name) for image in list_images(self._viewer)]
        regions = [
            (key, f"{name} ({count})")
            for key, (name, count) in count_regions(self._viewer).items()
        ]
        self.form.show_state(state, images=images, regions=regions)
        purpose = "Draw rectangles on the image; each becomes a pair."
        enable(self.draw_button, state.draw, purpose)
        enable(self.add_button, state.add, "Register the images and list the pairs.")
        show_reasons(self.reason, state.add, said=(state.hint,))
        # an overlay may have been removed from the layer list
        shown = [n for n, e in enumerate(self.entries) if self.overlays.shows(e)]
        self.table.show_entries(self.entries, shown)
        self.remove_button.setVisible(bool(self.entries))
        chosen = self.table.rows()
        self.remove_button.setText("Remove" if chosen else "Remove all")
        self.remove_button.setToolTip("Forget the chosen pairs; no layer is removed.")


def _make_regions(image: Layer, name: str) -> Shapes:
    # napari draws edges in pixels of the layer, which would vanish in a large image
    wide = max(image.extent.data[1] - image.extent.data[0])
    return Shapes(
        ndim=image.ndim,
        name=name,
        edge_color="#f0e442",
        face_color="#f0e44220",
        edge_width=0.006 * float(wide),
        metadata={KEY: "regions"},
        **copy_placement(image),
    )
