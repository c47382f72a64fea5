"""Runs of a dock that the workers of a cluster do, and the file of a layer for them.

A layer is in the memory of the viewer, workers open its file. What the layer says of
the image holds, so that the result is that of a run on this computer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Failed,
    Finished,
)
from napari_structsr.errors import CancelError, ClusterError
from napari_structsr.gui.viewer.cluster_words import describe_unreachable
from napari_structsr.gui.viewer.file_opening import find_opening
from napari_structsr.io.layer_file import find_layer_file
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = 10.0  # seconds for a scheduler to answer


@dataclass(frozen=True)
class Connected(Event):
    """A scheduler has answered.

    Parameters
    ----------
    scheduler
        Its address, as the user gave it.
    dashboard
        Address of the pages that show what its workers do; None if it was lost again.
    """

    scheduler: str
    dashboard: str | None


def run_on_workers(
    scheduler: str, start: Callable[[Client], Iterator[Event]], *, cancel: Cancel
) -> Iterator[Event]:
    """Yield `Connected`, then the events of a run with a client of a scheduler.

    The last event comes once the client is closed.

    Raises
    ------
    ClusterError
        If nobody answers.
    """
    from napari_structsr.engine.connection import open_client

    last: Event | None = None
    try:
        with open_client(scheduler, None, timeout=_PATIENCE, cancel=cancel) as client:
            yield Connected(scheduler, client.dashboard_link)
            for event in start(client):
                if isinstance(event, (Finished, Cancelled, Failed)):
                    last = event
                else:
                    yield event
    except CancelError:
        last = Cancelled(0)
    if last is not None:
        yield last


def open_file(
    layer: Image,
    shown: Source,
    *,
    reading: Mapping[str, Any] | None = None,
    moved: bool = False,
) -> Source:
    """Open from its file the image of a layer; reads pixels to compare them.

    Parameters
    ----------
    layer
        What is shown.
    shown
        The layer, opened.
    reading
        Arguments of `open_source` that choose a part; None for all.
    moved
        Whether the layer may have another pixel size and place than its file.

    Raises
    ------
    ClusterError
        If no file holds what the layer shows.
    """
    opening = find_opening(layer, shown, moved=moved)
    if opening is None:
        noted = find_layer_file(layer)
        path = noted.path if noted else layer.source.path
        name = Path(str(path)).name if path else None
        raise ClusterError(describe_unreachable(layer.name, name))
    return open_source(opening.path, **opening.options, **(reading or {}))
