"""A layer that is upscaled where the user looks, while he looks.

It opens at once; a thread computes the tiles of the screen, those of the middle first,
and drops what has left the screen. Nothing is written, and nothing computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QThreadPool, QTimer

from napari_structsr.engine.events import Cancel, Cancelled, Event
from napari_structsr.errors import CancelError
from napari_structsr.gui.upscale.optics.file_optics import open_measured
from napari_structsr.gui.upscale.run import fit_choice, make_settings
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.layers import (
    KEY,
    free_name,
    hide_below,
    insert_above,
    names_of,
    result_layer,
)
from napari_structsr.gui.viewer.screen_tiles import ScreenTiles
from napari_structsr.io.open import open_source

_PATIENCE = 0.2  # seconds after which a waiting thread looks whether it is still needed
_PAUSE = 100  # milliseconds between two drawings: each slices the layer anew


@dataclass(frozen=True)
class _Opened(Event):
    """The image can be looked at."""

    tiles: ScreenTiles


@dataclass(frozen=True)
class _Loaded(Event):
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
    axes = open_source(layer).spec.axes
    shown: list[Image] = []

    def show(tiles: ScreenTiles) -> None:
        if layer not in viewer.layers:
            job.cancel()
            return
        look = result_layer(
            layer,
            tiles.screen_levels,
            factor=choice.factor,
            axes=axes,
            name=free_name(f"{layer.name} {choice.label}", names_of(viewer)),
            metadata={KEY: {"source": layer.name, "as you look": True}},
        )
        shown.append(look)
        insert_above(viewer, layer, look)
        hide_below(viewer, layer, look)

    def redraw() -> None:
        for look in shown:
            look.refresh(extent=False)

    def stop(event: Any) -> None:
        if event.value in shown:
            shown.clear()
            job.cancel()

    job = load_tiles(layer, choice, opened=show, loaded=redraw)
    viewer.layers.events.removed.connect(stop)
    job.ended.connect(lambda: viewer.layers.events.removed.disconnect(stop))
    job.start()
    return job


def load_tiles(
    layer: Image,
    choice: Choice,
    *,
    opened: Callable[[ScreenTiles], None],
    loaded: Callable[[], None],
) -> Job:
    """Return a job that loads the tiles of a layer that are wanted, until it is ended.

    Parameters
    ----------
    layer, choice
        What is upscaled, and how.
    opened
        Called once, in the main thread, with the tiles.
    loaded
        Called in the main thread after tiles have been loaded, ten times a second at
        most.
    """
    source = open_measured(layer, choice.optics)
    low = float(layer.contrast_limits[0])

    def events(cancel: Cancel) -> Iterator[Event]:
        from napari_structsr.upscaling.lazy_image import open_lazy_image
        from napari_structsr.zoo.catalogue import load_model

        model = load_model(
            choice.model, factor=choice.factor, sharpness=choice.sharpness
        )
        settings = make_settings(choice)
        try:
            image = open_lazy_image(
                layer, model, settings=settings, source=source, cancel=cancel
            )
        except CancelError:
            yield Cancelled(0)
            return
        tiles = ScreenTiles(image.levels, background=low)
        yield _Opened(tiles)
        pool = QThreadPool.globalInstance()
        assert pool is not None
        # there are as many threads as cores: what waits for the user, maybe for hours,
        # must not hold one that a run needs
        pool.releaseThread()
        try:
            while not cancel:
                if tiles.load_next(patience=_PATIENCE) is not None:
                    yield _Loaded()
        finally:
            pool.reserveThread()
        yield Cancelled(0)

    def hear(event: Event) -> None:
        if isinstance(event, _Opened):
            opened(event.tiles)
        elif isinstance(event, _Loaded) and not timer.isActive():
            timer.start()

    job = Job(f"Looking at {layer.name}", events)
    timer = QTimer(job)
    timer.setSingleShot(True)
    timer.setInterval(_PAUSE)
    timer.timeout.connect(loaded)
    job.said.connect(hear)
    job.ended.connect(timer.stop)
    return job
