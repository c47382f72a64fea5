"""Upscaling a layer of a viewer: from the click to the layer beside its source.

It joins the engine, a `Job` and the layer list. The dock and the one-click command
both come here, so that they do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Layer
from napari.utils import progress
from napari.viewer import Viewer

from napari_structsr.core.image_part import ImagePart
from napari_structsr.engine.events import (
    Cancel,
    Event,
    Finished,
    Progressed,
    Started,
)
from napari_structsr.gui.settings import read_preferences
from napari_structsr.gui.upscale.layer_image import is_calibrated_by_file
from napari_structsr.gui.upscale.optics.file_optics import LEAST_WIDTH, open_measured
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.cluster_run import open_file, run_on_workers
from napari_structsr.gui.viewer.file_opening import note_file
from napari_structsr.gui.viewer.jobs import Job, submit
from napari_structsr.gui.viewer.layers import (
    KEY,
    free_name,
    free_path,
    hide_below,
    insert_above,
    insert_part,
    names_of,
    result_layer,
)
from napari_structsr.io.layer_file import AXES
from napari_structsr.io.layer_source import is_unlabelled
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink, Sink
from napari_structsr.io.source import Source
from napari_structsr.upscaling.measured_width import measure_marks
from napari_structsr.zoo.catalogue import find_partner

if TYPE_CHECKING:
    from distributed import Client

    from napari_structsr.upscaling.settings import UpscaleSettings


def read_preferred_choice(*, factor: int = 2) -> Choice:
    """Return what the user wants where nothing else is said."""
    wishes = vars(read_preferences()).copy()
    del wishes["select_result"]  # of the viewer, not of the run
    return Choice(factor=factor, **wishes)


def upscale_layer(
    viewer: Viewer,
    layer: Image,
    choice: Choice,
    *,
    shown: Callable[[Image], None] | None = None,
) -> Job:
    """Upscale a layer in the background, after the jobs that were asked for before.

    Parameters
    ----------
    viewer
        Where the result will be shown.
    layer
        What is upscaled, as it is now.
    choice
        What the user wants; of a part the texts, see `SelectedLayers.fit`.
    shown
        Called with the layer of the result.

    Returns
    -------
    Job
        Submitted already; connect to its signals to follow it.
    """
    # taken now, in the main thread: the layer may change while the job waits
    choice = fit_choice(choice, layer)
    whole = open_measured(layer, choice.optics)
    source = open_source(whole, **choice.reading)
    origin = find_origin(layer, choice)
    calibrated = is_calibrated_by_file(layer)
    sink = choose_sink(layer, choice)

    def run(cancel: Cancel) -> Iterator[Event]:
        if not choice.scheduler:
            yield from run_upscaling(source, choice, sink, cancel=cancel)
            return
        # pixels may be compared, which takes time
        file = open_file(layer, whole, reading=choice.reading)
        # with the names and colours that the viewer shows, and the optics of the dock
        file.spec = source.spec
        yield from run_on_workers(
            choice.scheduler,
            lambda client: run_upscaling(
                file, choice, sink, cancel=cancel, client=client
            ),
            cancel=cancel,
        )

    job = Job(f"Upscaling {layer.name}", run)

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
            origin=origin,
        )
        if isinstance(event.output, Path):
            note_file(result, event.output)
        if is_unlabelled(result):
            # those of the file are found no more, since the result has none
            result.axis_labels = source.spec.axes.names.replace("s", "")
        if origin is None:
            insert_above(viewer, layer, result)
            hide_below(viewer, layer, result)
        else:
            insert_part(viewer, layer, result)
        if read_preferences().select_result:
            viewer.layers.selection.active = result
        if shown is not None:
            shown(result)

    job.finished.connect(show)
    follow_in_activity_dock(job)
    submit(job)
    return job


def run_upscaling(
    source: Source,
    choice: Choice,
    sink: Sink,
    *,
    cancel: Cancel,
    client: Client | None = None,
) -> Iterator[Event]:
    """Load the model and run the engine; torch is imported here, in the worker."""
    from napari_structsr.upscaling.upscale import iter_upscale
    from napari_structsr.zoo.catalogue import load_model

    model = load_model(choice.model, factor=choice.factor, sharpness=choice.sharpness)
    settings = make_settings(choice)
    yield from iter_upscale(
        source, model, sink, settings=settings, cancel=cancel, client=client
    )


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
    if choice.reading and choice.optics.undo and choice.optics.marked:
        # marks count pixels of the whole
        whole = open_measured(layer, choice.optics)
        found = measure_marks(whole, choice.optics.to_marks())
        sigma = round(max(found.low, LEAST_WIDTH), 3)
        told = OpticsChoice(undo=True, source="hand", psf_sigma=sigma)
        choice = replace(choice, optics=told)
    return choice


def open_part(layer: Image, choice: Choice) -> Source:
    """Open what is upscaled of a layer.

    Raises
    ------
    StructsrError
        If there is no such part.
    """
    return open_source(open_measured(layer, choice.optics), **choice.reading)


def find_origin(layer: Image, choice: Choice) -> list[int] | None:
    """Return where a part begins, along each dimension of its layer; None for all."""
    if not choice.reading:
        return None
    axes = open_source(layer).spec.axes
    chosen = ImagePart.parse(axes, planes=choice.planes, region=choice.region)
    first = {name: start for name, (start, _) in chosen.planes.items()}
    first["y"] = chosen.rows[0] if chosen.rows else 0
    first["x"] = chosen.columns[0] if chosen.columns else 0
    if channels := choice.reading.get("channels"):
        names = [
            channel.name
            for channel in open_measured(layer, choice.optics).spec.channels
        ]
        one = channels[0]
        # channels that are no neighbours lie together, from the first of them on
        first["c"] = one if isinstance(one, int) else names.index(one)
    return [first.get(name, 0) for name in axes.names.replace("s", "")]


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


def follow_in_activity_dock(job: Job) -> None:
    """Show how far a job is in the activity dock of napari."""
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
