"""Stopping in the middle of a tile: between the layers of a network, and in reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from napari_structsr.core.types import Array
from napari_structsr.engine.events import Cancel
from napari_structsr.errors import CancelError
from napari_structsr.io.source import Source


def check_cancel(cancel: Cancel) -> None:
    """Raise CancelError once somebody wants to stop."""
    if cancel:
        raise CancelError("the run was cancelled")


@contextmanager
def interruptible(networks: Iterable[nn.Module], cancel: Cancel) -> Iterator[None]:
    """Let networks raise CancelError before their next layer, once `cancel` is set.

    A tile can take a minute on a slow machine, and a layer hardly ever a second. Where
    layers are fused, on machines that are not slow, it is heard before the next block.
    """

    def check(*_: object) -> None:
        check_cancel(cancel)

    with ExitStack() as held:
        # channels share their layers
        layers = {layer for network in networks for layer in network.modules()}
        for layer in layers:
            held.callback(layer.register_forward_pre_hook(check).remove)
        yield


class InterruptibleSource:
    """A source whose reads raise CancelError, once `cancel` is set."""

    def __init__(self, source: Source, cancel: Cancel) -> None:
        self.options: Mapping[str, Any] = source.options
        self.spec = source.spec
        self.chunks = source.chunks
        self.origin = source.origin
        self._source, self._cancel = source, cancel

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane; see `Source.read`."""
        check_cancel(self._cancel)
        return self._source.read(plane, rows, columns)
