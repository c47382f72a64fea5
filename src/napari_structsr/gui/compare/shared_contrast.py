"""One contrast for several layers for a while, and their own again after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from napari.experimental import layers_linked
from napari.layers import Image

__all__ = ["share_contrast"]

_LINKED = ("contrast_limits", "gamma")


def share_contrast(layers: Sequence[Image]) -> Callable[[], None]:
    """Give layers the contrast and gamma of the first; changing one changes all.

    Returns
    -------
    callable
        What gives each layer its own contrast again.
    """
    # napari keeps weak references to what is linked: to layers, not to proxies
    bare = [getattr(layer, "__wrapped__", layer) for layer in layers]
    link = ExitStack()
    for layer in bare:
        link.callback(_contrast_of(layer))
    for layer in bare[1:]:
        _contrast_of(bare[0])(layer)
    link.enter_context(layers_linked(bare, _LINKED))
    return link.close


def _contrast_of(layer: Image) -> Callable[..., None]:
    """Note the contrast of a layer; return what gives it back, or to another."""
    limits, gamma = list(layer.contrast_limits), layer.gamma
    whole = list(layer.contrast_limits_range)

    def give(other: Image = layer) -> None:
        other.contrast_limits_range = whole
        other.contrast_limits = limits
        other.gamma = gamma

    return give
