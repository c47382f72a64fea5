"""The runs of the Upscale dock, and what can be done with what they have made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from napari.layers import Image
from napari.viewer import Viewer
from npe2 import PluginManager

from napari_structsr.engine.events import Cancel, Event, Finished
from napari_structsr.gui.upscale.run import follow_in_activity_dock, upscale_layer
from napari_structsr.gui.upscale.running.folder_run import (
    describe_outcomes,
    upscale_folder,
)
from napari_structsr.gui.upscale.running.history import HistoryList, note_run
from napari_structsr.gui.upscale.running.places import find_folder, open_folder
from napari_structsr.gui.upscale.running.remembered import remember_choice
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.cluster_run import run_on_workers
from napari_structsr.gui.viewer.jobs import Job, submit
from napari_structsr.gui.widgets.cluster_row import follow_cluster
from napari_structsr.gui.widgets.progress_row import ProgressRow, ProgressRows

_COMPARE = "napari-structsr.compare_selected"


class UpscaleRuns(ProgressRows):
    """One row for each run, with the buttons of what it has made.

    Parameters
    ----------
    viewer
        Where results are shown.
    history
        Told of each run that has ended.
    """

    def __init__(self, viewer: Viewer, history: HistoryList) -> None:
        super().__init__()
        self._viewer, self._history = viewer, history

    def start_layer(self, layer: Image, choice: Choice) -> Job:
        """Upscale a layer, and follow it in a row of its own."""
        rows: list[ProgressRow] = []

        def offer(result: Image) -> None:
            rows[0].add_action(
                "Compare with source",
                "Show the result and its source side by side.",
                partial(self._compare, layer, result),
            )

        job = upscale_layer(self._viewer, layer, choice, shown=offer)
        rows.append(self._follow(job, layer.name, choice))
        return job

    def start_folder(self, choice: Choice) -> Job:
        """Upscale all images of a folder, followed in one row."""
        folder = choice.images or Path()
        name = f"all images of {folder.name or folder}"

        def run(cancel: Cancel) -> Iterator[Event]:
            if not choice.scheduler:
                return upscale_folder(choice, cancel=cancel)
            return run_on_workers(
                choice.scheduler,
                lambda client: upscale_folder(choice, cancel=cancel, client=client),
                cancel=cancel,
            )

        job = Job(f"Upscaling {name}", run)
        row = self._follow(job, name, choice)
        job.finished.connect(
            lambda event: row.show_details(describe_outcomes(event.output))
        )
        job.cancelled.connect(
            lambda event: row.show_details(
                f"{event.done} images are done; the same run goes on from there."
            )
        )
        follow_in_activity_dock(job)
        submit(job)
        return job

    def _follow(self, job: Job, name: str, choice: Choice) -> ProgressRow:
        remember_choice(choice)
        one = choice.images is None
        row = self.add(job, name, resumable=one and choice.folder is not None)
        if choice.scheduler:
            follow_cluster(row)
        note: Callable[..., None] = partial(self._note, row, name, choice)

        def finish(event: Finished) -> None:
            place = event.output if isinstance(event.output, Path) else None
            if place is None and choice.images is not None and choice.folder:
                place = choice.folder
            if place is not None:
                row.add_action(
                    "Open folder",
                    f"Show {find_folder(place)} in the file manager.",
                    partial(open_folder, place),
                )
            note("finished", place)

        job.finished.connect(finish)
        job.cancelled.connect(lambda _: note("cancelled", choice.folder))
        job.failed.connect(lambda _: note("failed", choice.folder))
        return row

    def _note(
        self,
        row: ProgressRow,
        name: str,
        choice: Choice,
        state: str,
        place: Path | None,
    ) -> None:
        note_run(name, choice.label, str(place or ""), state, row.seconds)
        self._history.update_list()

    def _compare(self, source: Image, result: Image) -> None:
        layers = self._viewer.layers
        pair = {layer for layer in (source, result) if layer in layers}
        layers.selection = pair
        # by its name: docks do not know each other
        PluginManager.instance().commands.execute(_COMPARE, (self._viewer,))
