"""The dock for upscaling: a form, an estimate, a preview, and one row for each run.

It owns its widgets and nothing else. What the form means is decided by `resolve`, what
a click does by `upscale_layer` and `Preview`, and threads belong to `Job`. Opening the
dock imports no torch: the estimate, which needs it, waits until the user comes near.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from napari.layers import Image
from napari.utils.notifications import show_warning
from napari.viewer import Viewer
from qtpy.QtGui import (
    QCursor,
    QDragEnterEvent,
    QDropEvent,
    QEnterEvent,
    QGuiApplication,
    QShowEvent,
)
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout

from napari_structsr.errors import StructsrError
from napari_structsr.gui.upscale.commands import write_command, write_folder_command
from napari_structsr.gui.upscale.form import UpscaleForm
from napari_structsr.gui.upscale.layer_image import name_layer_axes
from napari_structsr.gui.upscale.look_row import LookRow
from napari_structsr.gui.upscale.offered_models import OfferedModels
from napari_structsr.gui.upscale.optics.both_wishes import BothWishes
from napari_structsr.gui.upscale.preview import describe_view_planes, find_view_obstacle
from napari_structsr.gui.upscale.preview_button import PreviewButton
from napari_structsr.gui.upscale.run import choose_sink, fit_choice, open_part
from napari_structsr.gui.upscale.running.estimate import EstimateLabel, Part
from napari_structsr.gui.upscale.running.folder_run import list_files
from napari_structsr.gui.upscale.running.history import HistoryList
from napari_structsr.gui.upscale.running.remembered import read_first_choice
from napari_structsr.gui.upscale.running.run_rows import UpscaleRuns
from napari_structsr.gui.upscale.selection import SelectedLayers
from napari_structsr.gui.upscale.state import Choice, DockState, resolve
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.controls import Scroll, enable, sentence, show_reasons
from napari_structsr.gui.widgets.model_signals import models_offered
from napari_structsr.gui.widgets.viewer_widget import PREVIEW_KEY, RUN_KEY, Dock


class UpscaleDock(Dock):
    """Upscales the selected image layers of a viewer.

    Parameters
    ----------
    napari_viewer
        The viewer whose selection is followed.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._models = OfferedModels(self)
        self._selected = SelectedLayers(napari_viewer)
        self._obstacle: str | None = None
        self._mouse = QCursor.pos()

        self.form = UpscaleForm()
        self.estimate = EstimateLabel()
        self.wishes = BothWishes(napari_viewer)
        self.preview_button = PreviewButton(napari_viewer, self._ask_preview)
        self.look = LookRow(
            napari_viewer, lambda: (self._list_usable(), self._of_whole())
        )
        self.copy_button = QPushButton("Copy as command")
        self.run_button = QPushButton("Run")
        self.cancel_button = QPushButton("Cancel")
        self.reason = sentence()
        self._lay_out()
        self._connect()
        self._offer_file()
        self._models.read_file()

    # -- what the user sees ---------------------------------------------------------

    def _lay_out(self) -> None:
        tools, actions = QHBoxLayout(), QHBoxLayout()
        tools.addWidget(self.preview_button)
        tools.addWidget(self.copy_button)
        actions.addWidget(self.run_button, 2)
        actions.addWidget(self.cancel_button, 1)
        self.history = HistoryList()
        self.jobs = UpscaleRuns(self._viewer, self.history)
        self.setAcceptDrops(True)  # a file of a model, wherever it falls
        self.setMinimumWidth(300)  # room for a sentence
        layout = QVBoxLayout(self)
        self._scroll = Scroll(self.form)
        layout.addWidget(self._scroll)
        layout.addWidget(self.estimate)
        layout.addWidget(self.look)
        layout.addLayout(tools)
        layout.addWidget(self.wishes)
        layout.addLayout(actions)
        layout.addWidget(self.reason)
        layout.addLayout(self.jobs)
        layout.addWidget(self.history)
        layout.addStretch(1)

    def _connect(self) -> None:
        layers, dims = self._viewer.layers, self._viewer.dims
        self.follow(
            (layers.selection.events.changed, self._refresh),
            (layers.events.removed, self._refresh),
            (dims.events.ndisplay, self._refresh),
            (dims.events.order, self._refresh),
            (models_offered.changed, self._refresh_models),
            (self._selected.marks.changed, self._refresh),
            (self._selected.measured.changed, self._refresh),
            (self._selected.regions.changed, self._refresh),
        )
        self.form.optics.asked.connect(self._ask_optics)
        self.form.axes_named.connect(self._name_axes)
        self.form.part.drawn.connect(self._draw_region)
        self.form.part.plane_asked.connect(self._take_plane)
        self._models.found.connect(self._offer_file)
        self.estimate.refused.connect(self._keep_obstacle)
        self.form.changed.connect(self._refresh)
        self.form.output.currentIndexChanged.connect(
            lambda: self._scroll.reveal(self.form.folder.native)
        )
        self.preview_button.shown.connect(self._compare_wishes)
        self.copy_button.clicked.connect(self._copy)
        self.run_button.clicked.connect(self._run)
        self.cancel_button.clicked.connect(self.jobs.cancel)
        self.bind_key(RUN_KEY, self.run_button.click)
        self.bind_key(PREVIEW_KEY, self.preview_button.click)

    def enterEvent(self, event: QEnterEvent | None) -> None:  # noqa: N802
        """Complete the estimate once the mouse comes near; it needs torch."""
        super().enterEvent(event)
        # Qt sends this event too when the dock appears below a mouse at rest
        if "torch" not in sys.modules and QCursor.pos() != self._mouse:
            self.estimate.estimate()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Note where the mouse is: the dock may open just below it."""
        super().showEvent(event)
        self._mouse = QCursor.pos()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Take the file of a model; napari would open it as an image."""
        self.form.file.dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Open the file of a model, or say why it is none."""
        self.form.file.dropEvent(event)

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        self.estimate.ask([], cheaply=True)  # no late answer to a dead widget
        self.form.file.release()
        self.preview_button.remove()
        self.look.release()
        self.wishes.forget()
        self._selected.release()
        super().release()

    def _offer_file(self) -> None:
        self.form.offer_models(self._models.descriptions)
        self.form.show_choice(read_first_choice())
        self._refresh()

    def _refresh_models(self) -> None:
        self._models.list_cards()
        self.form.offer_models(self._models.descriptions)
        self._refresh()

    # -- from the selection and the form to what is shown -----------------------------

    def _list_usable(self) -> list[Image]:
        return self._selected.list_usable()

    def _of_whole(self) -> Choice:
        """Return the wish for who looks: at whatever is shown, not at a part."""
        choice = self._resolve().choice
        return replace(
            choice, planes="", region="", channels="", area=None, scheduler=""
        )

    def _resolve(self, *, undo: bool | None = None) -> DockState:
        usable = self._list_usable()
        choice = self.form.choice()
        if undo is not None:
            choice = replace(choice, optics=replace(choice.optics, undo=undo))
        choice = self._selected.complete(choice)
        # the files of the layers are read only for what follows from them
        told = choice.optics.undo and self._models.can_be_told(choice.model)
        return resolve(
            choice,
            self._selected.describe(choice, told=told),
            models=self._models.factors,
            blending=self._models.blending,
            conditional=self._models.conditional,
            obstacle=self._obstacle,
            busy=self.jobs.is_busy,
            view=find_view_obstacle(self._viewer, usable[0] if usable else None),
            files=None if choice.images is None else list_files(choice.images),
            has_dask=find_spec("distributed") is not None,
        )

    def _refresh(self) -> None:
        self._obstacle = None  # what the estimate found was said of another wish
        self.form.part.offer(self._selected.regions.offer())
        self._selected.regions.listen(self.form.choice().area)
        self._show()
        state = self._resolve()
        parts: list[Part] = []
        # layers are selected, and there is a place to write to
        if state.copy is None and state.choice.images is None:
            for layer in self._list_usable():
                choice = self._selected.fit(layer, state.choice)
                source, sink = open_part(layer, choice), choose_sink(layer, choice)
                parts.append((source, choice, sink))
        busy = self.jobs.is_busy
        # what the dock itself is writing would be said to be taken by another run
        writes = busy and state.choice.folder is not None
        # a full estimate imports torch, which would hold up the first click
        cheaply = writes or "torch" not in sys.modules
        # a tile is not measured beside a run, which would slow down both
        self.estimate.ask(parts, cheaply=cheaply, timed=not busy)

    def _keep_obstacle(self, message: str) -> None:
        self._obstacle = message
        self._show()

    def _show(self) -> None:
        state = self._resolve()
        self.form.show_state(state)
        self._keep_wishes()
        purpose = f"Upscale the selected layers ({RUN_KEY})."
        enable(self.run_button, state.run, purpose)
        self.preview_button.show_obstacle(state.preview)
        self.look.show_obstacles(look=state.look, lens=state.preview)
        enable(
            self.copy_button,
            state.copy,
            "Copy what would be run, for a terminal or a script.",
        )
        enable(
            self.cancel_button,
            None if self.jobs.is_busy else "Nothing is running.",
            "Stop all runs of this dock at their next tile.",
        )
        # what only the preview lacks is no obstacle for anything else
        preview = state.preview and f"No preview: {state.preview}"
        if state.choice.images is not None:  # nobody looks at a folder
            preview = None
        show_reasons(
            self.reason,
            state.run,
            preview if state.run is None else None,
            said=(state.layers, self.estimate.text()),
        )

    def _name_axes(self, names: str) -> None:
        try:
            for layer in self._list_usable():
                name_layer_axes(layer, names)
        except StructsrError as error:
            show_warning(keep_plain(str(error)))
        self._refresh()

    # -- what the buttons do ----------------------------------------------------------

    def _run(self) -> None:
        choice = self._resolve().choice
        self.preview_button.remove()  # the result would lie below it
        self.wishes.forget()  # their room is needed for the progress
        self.jobs.clear()
        # jobs wait for each other: two models at once would fight for memory
        if choice.images is not None:
            jobs = [self.jobs.start_folder(choice)]
        else:
            jobs = [
                self.jobs.start_layer(layer, self._selected.fit(layer, choice))
                for layer in self._list_usable()
            ]
        for job in jobs:
            # what was found to stand in the way may have been this very run
            job.ended.connect(self._refresh)
        self._show()

    def _draw_region(self) -> None:
        if usable := self._list_usable():
            key = self._selected.regions.draw(usable[0])
            self.form.part.offer(self._selected.regions.offer(), key)
            self._refresh()

    def _take_plane(self) -> None:
        if usable := self._list_usable():
            self.form.part.planes.setText(describe_view_planes(self._viewer, usable[0]))
            self._refresh()

    def _ask_optics(self) -> None:
        choice = self._resolve().choice.optics
        for layer in self._list_usable():
            if choice.marked is None:
                self._selected.measured.measure(layer, choice)
            else:
                self._selected.marks.begin(layer, choice.marked)
                return  # marks lie on one image

    def _ask_preview(self) -> tuple[Image, Choice, Sequence[float]]:
        layer, state = self._list_usable()[0], self._resolve()
        widths = state.optics.widths if state.optics else ()
        return layer, fit_choice(self._of_whole(), layer), widths

    def _compare_wishes(self) -> None:
        """Show both wishes beside each other, where the blur can be undone."""
        state, usable = self._resolve(undo=True), self._list_usable()
        if state.optics and not state.optics.obstacle and len(usable) == 1:
            choice = fit_choice(state.choice, usable[0])
            self.wishes.start(usable[0], choice, state.optics.widths)

    def _keep_wishes(self) -> None:
        usable = self._list_usable()
        if self.wishes.isHidden() or len(usable) != 1:
            return
        undone = self._resolve(undo=True)
        self.wishes.keep_if(usable[0], fit_choice(undone.choice, usable[0]))

    def _copy(self) -> None:
        choice = self._resolve().choice
        texts = [
            write_command(layer, self._selected.fit(layer, choice))
            for layer in self._list_usable()
        ]
        if choice.images is not None:
            texts = [write_folder_command(choice)]
        if clipboard := QGuiApplication.clipboard():
            clipboard.setText("\n".join(texts))
