"""Upscaling a layer of a viewer: from the click to the layer beside its source.

It joins the engine, a `Job` and the layer list. The dock and the one-click command
both come here, so that they do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from napari.layers import Image, Layer
from napari.utils import progress
from napari.viewer import Viewer

from napari_structsr.engine.events import (
    Cancel,
    Event,
    Finished,
    Progressed,
    Started,
)
from napari_structsr.gui.settings import read_preferences
from napari_structsr.gui.upscale.layer_image import is_calibrated_by_file
from napari_structsr.gui.upscale.optics.file_optics import open_measured
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job, submit
from napari_structsr.gui.viewer.layers import (
    KEY,
    free_name,
    free_path,
    insert_above,
    names_of,
    result_layer,
)
from napari_structsr.io.layer_file import AXES
from napari_structsr.io.layer_source import is_unlabelled
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.sink import MemorySink, Sink
from napari_structsr.io.source import Source
from napari_structsr.zoo.catalogue import find_partner

if TYPE_CHECKING:
    from napari_structsr.upscaling.settings import UpscaleSettings


def read_preferred_choice(*, factor: int = 2) -> Choice:
    """Return what the user wants where nothing else is said."""
    wishes = vars(read_preferences()).copy()
    del wishes["select_result"]  # of the viewer, not of the run
    return Choice(factor=factor, **wishes)


def upscale_layer(viewer: Viewer, layer: Image, choice: Choice) -> Job:
    """Upscale a layer in the background, after the jobs that were asked for before.

    Parameters
    ----------
    viewer
        Where the result will be shown.
    layer
        What is upscaled, as it is now.
    choice
        What the user wants.

    Returns
    -------
    Job
        Submitted already; connect to its signals to follow it.
    """
    # taken now, in the main thread: the layer may change while the job waits
    choice = fit_choice(choice, layer)
    source = open_measured(layer, choice.optics)
    calibrated = is_calibrated_by_file(layer)
    sink = choose_sink(layer, choice)
    job = Job(
        f"Upscaling {layer.name}",
        lambda cancel: run_upscaling(source, choice, sink, cancel=cancel),
    )

    def show(event: Finished) -> None:
        """Put the result beside its source."""
        entry = {"source": layer.name, "record": event.record.to_json()}
        if calibrated:
            # in the viewer it lies on its source, and that counts in pixels
            entry[AXES] = source.spec.upscale(choice.factor).axes
        result = result_layer(
            layer,
            event.output,
            factor=choice.factor,
            axes=source.spec.axes,
            name=free_name(f"{layer.name} {choice.label}", names_of(viewer)),
            metadata={KEY: entry},
        )
        if is_unlabelled(result):
            # those of the file are found no more, since the result has none
            result.axis_labels = source.spec.axes.names.replace("s", "")
        insert_above(viewer, layer, result)
        if read_preferences().select_result:
            viewer.layers.selection.active = result

    job.finished.connect(show)
    _show_in_activity_dock(job)
    submit(job)
    return job


def run_upscaling(
    source: Source, choice: Choice, sink: Sink, *, cancel: Cancel
) -> Iterator[Event]:
    """Load the model and run the engine; torch is imported here, in the worker."""
    from napari_structsr.upscaling.upscale import iter_upscale
    from napari_structsr.zoo.catalogue import load_model

    model = load_model(choice.model, factor=choice.factor, sharpness=choice.sharpness)
    settings = make_settings(choice)
    yield from iter_upscale(source, model, sink, settings=settings, cancel=cancel)


def choose_sink(layer: Layer, choice: Choice) -> MemorySink | OmeZarrSink:
    """Return where the result of a layer goes."""
    # an unfinished store of this name is gone on with, a finished one is kept
    if choice.folder is None:
        return MemorySink()
    return OmeZarrSink(free_path(choice.folder, f"{layer.name} {choice.label}"))


def fit_choice(choice: Choice, layer: Image) -> Choice:
    """Drop wishes that have no meaning for the layer or the model."""
    # the form keeps a wish for the next layer or model that it has a meaning for
    if not layer.rgb:
        choice = replace(choice, color="channels")
    if find_partner(choice.model) is None:
        choice = replace(choice, sharpness=1.0)
    return choice


def make_settings(choice: Choice) -> UpscaleSettings:
    """Return the settings of the engine."""
    from napari_structsr.upscaling.settings import UpscaleSettings

    return UpscaleSettings(
        agreement=choice.agreement,
        device=choice.device,
        tile=choice.tile,
        color=choice.color,
        **choice.optics.to_settings(),
    )


def _show_in_activity_dock(job: Job) -> None:
    bars: list[progress] = []

    def begin(event: Started) -> None:
        bar = progress(total=event.total, desc=name)
        if job.has_ended:  # making a bar lets Qt run, and the job with it
            bar.close()
            return
        bars.append(bar)
        bar.update(event.plan.done)

    def advance(event: Progressed) -> None:
        # other work of the job, such as its pyramid, counts other things than tiles
        if bars and event.total == bars[0].total:
            bars[0].update(event.done - bars[0].n)

    def finish() -> None:
        for bar in bars:
            bar.close()

    name = job.name
    job.started.connect(begin)
    job.progressed.connect(advance)
    job.ended.connect(finish)
