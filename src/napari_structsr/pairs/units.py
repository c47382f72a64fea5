"""Units and places that all pairs share."""

from __future__ import annotations

from napari_structsr.core.axes import Axes
from napari_structsr.core.intensity import Intensity
from napari_structsr.engine.statistics import measure_intensity
from napari_structsr.io.source import Source
from napari_structsr.pairs.image_pair import Place

__all__ = ["channel_intensity", "noise_of", "place_of"]


def channel_intensity(source: Source, plane: tuple[int, ...] | None) -> Intensity:
    """Measure the channel of a plane, or the first one, over the whole image."""
    found = measure_intensity(source)
    return found[0 if plane is None else source.spec.axes.channel_of(plane)]


def noise_of(intensity: Intensity) -> tuple[float, float]:
    """Return rise and floor of the noise variance of normalised pixels."""
    return (
        intensity.noise_gain / intensity.span,
        intensity.noise_floor / intensity.span**2,
    )


def place_of(
    sources: tuple[str, str],
    axes: Axes,
    plane: tuple[int, ...],
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> Place:
    """Say where a region of measured pixels lies."""
    y, x = (
        axes[name].translate + axes[name].scale * (first - 0.5)
        for name, first in (("y", rows[0]), ("x", columns[0]))
    )
    return Place(
        sources, plane, rows, columns, (y, x), (axes["y"].scale, axes["x"].scale)
    )
