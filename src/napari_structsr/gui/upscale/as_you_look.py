"""A layer that is upscaled where the user looks, while he looks.

It opens at once; a thread computes the tiles of the screen, those of the middle first,
and drops what has left the screen. Nothing is written, and nothing computed twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QTimer

from napari_structsr.engine.events import Cancel, Cancelled, Event
from napari_structsr.gui.upscale.file_optics import open_measured
from napari_structsr.gui.upscale.run import fit_choice, make_settings
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.layers import (
    KEY,
    free_name,
    insert_above,
    names_of,
    result_layer,
)
from napari_structsr.gui.viewer.screen_tiles import ScreenTiles
from napari_structsr.io.open import open_source

if TYPE_CHECKING:
    from napari_structsr.upscaling.lazy_image import LazyImage

_PATIENCE = 0.2  # seconds after which a waiting thread looks whether it is still needed
_PAUSE = 100  # milliseconds between two drawings: each slices the layer anew


@dataclass(frozen=True)
class Opened(Event):
    """The image can be looked at."""

    image: LazyImage
    tiles: ScreenTiles


@dataclass(frozen=True)
class Loaded(Event):
    """One more tile can be shown."""


def find_order_obstacle(layer: Image) -> str | None:
    """Say in words why a layer cannot be upscaled as one looks; None if it can."""
    names = open_source(layer).spec.axes.names
    if names != open_source(layer).spec.axes.canonical().names:
        return (
            f"Looking needs axes in the order t, c, z, y, x, not {', '.join(names)}: "
            "transpose the layer, or run it."
        )
    return None


def show_as_you_look(viewer: Viewer, layer: Image, choice: Choice) -> Job:
    """Open a layer upscaled, and compute what is looked at.

    Parameters
    ----------
    viewer
        Where the layer will be shown.
    layer
        What is upscaled.
    choice
        What the user wants; the folder has no meaning here.

    Returns
    -------
    Job
        Started already. It runs until the layer is removed, or the job cancelled.
    """
    choice = fit_choice(choice, layer)
    source = open_measured(layer, choice.optics)
    shown: list[Image] = []
    low = float(layer.contrast_limits[0])

    def events(cancel: Cancel) -> Iterator[Event]:
        from napari_structsr.upscaling.lazy_image import open_lazy_image
        from napari_structsr.zoo.catalogue import load_model

        model = load_model(
            choice.model, factor=choice.factor, sharpness=choice.sharpness
        )
        image = open_lazy_image(
            layer, model, settings=make_settings(choice), source=source
        )
        tiles = ScreenTiles(image.levels, background=low)
        yield Opened(image, tiles)
        while not cancel:
            if tiles.load_next(patience=_PATIENCE) is not None:
                yield Loaded()
        yield Cancelled(0)

    job = Job(f"Looking at {layer.name}", events)
    timer = QTimer(job)
    timer.setSingleShot(True)
    timer.setInterval(_PAUSE)
    timer.timeout.connect(lambda: [one.refresh(extent=False) for one in shown])

    def show(event: Event) -> None:
        if isinstance(event, Opened) and layer in viewer.layers:
            look = result_layer(
                layer,
                event.tiles.screen_levels,
                factor=choice.factor,
                axes=source.spec.axes,
                name=free_name(f"{layer.name} {choice.label}", names_of(viewer)),
                metadata={KEY: {"source": layer.name, "as you look": True}},
            )
            shown.append(look)
            insert_above(viewer, layer, look)
        elif isinstance(event, Loaded) and not timer.isActive():
            timer.start()

    def stop(event: Any) -> None:
        if event.value in shown:
            shown.clear()
            job.cancel()

    def leave() -> None:
        viewer.layers.events.removed.disconnect(stop)
        timer.stop()

    viewer.layers.events.removed.connect(stop)
    job.said.connect(show)
    job.ended.connect(leave)
    job.start()
    return job
