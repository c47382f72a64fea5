"""How long a run will take, from one tile of the image that was really computed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from napari_structsr.core.image_part import ImagePart
from napari_structsr.engine.events import Cancel
from napari_structsr.errors import StructsrError
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice
from napari_structsr.gui.upscale.run import make_settings
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.io.sink import MemorySink
from napari_structsr.io.source import Source

if TYPE_CHECKING:
    from napari_structsr.models.model import SRModel
    from napari_structsr.upscaling.tile_upscaler import TileUpscaler

_SIDE = 256  # pixels of what is measured: a second on a slow machine
_WARM = 0.5  # seconds below which it is measured again: the first pays for caches


def measure_seconds(
    source: Source, choice: Choice, model: SRModel, *, cancel: Cancel
) -> float | None:
    """Return seconds that all tiles of an image will take; None if nobody can say.

    A square in the middle of the middle plane is read and computed as in a run, and
    what neighbouring blocks read twice is counted. Writing takes place meanwhile.

    Parameters
    ----------
    source, choice, model
        What is upscaled, how, and by what.
    cancel
        Looked at between the layers of the network.
    """
    from napari_structsr.engine.blocks import choose_block
    from napari_structsr.engine.interrupt import interruptible
    from napari_structsr.upscaling.prepare import prepare
    from napari_structsr.upscaling.tile_upscaler import TileUpscaler

    axes = source.spec.axes
    # neither time nor marks of the whole depend on what is told
    settings = make_settings(replace(choice, optics=OpticsChoice()))
    try:
        view = _open_middle(source)
        prepared = prepare(view, model, MemorySink(), settings, cancel=cancel)
        # an empty corner would not be computed at all
        ranges = tuple(
            replace(one, high=max(one.high, one.low + 1))
            for one in prepared.intensities
        )
        prepared = replace(prepared, intensities=ranges)
        with interruptible((one.network for one in prepared.models), cancel):
            seconds = min(_time_passes(TileUpscaler(prepared)))
    except StructsrError:
        return None  # cancelled; or what is wrong with the image, which a run says
    halo = prepared.grid.halo
    rows, columns = choose_block(prepared.device, model.values_per_pixel, halo)
    twice = math.prod(
        (min(side, size) + 2 * halo * (size > side)) / min(side, size)
        for side, size in zip((rows, columns), axes.plane, strict=True)
    )
    planes = math.prod(axis.size for axis in axes.loops)
    share = math.prod(axes.plane) / math.prod(view.spec.axes.plane)
    return seconds * planes * share * twice


def _open_middle(source: Source) -> Source:
    from napari_structsr.io.views import ChannelsView, PartView

    axes = source.spec.axes
    rows, columns = (
        ((size - min(size, _SIDE)) // 2, (size + min(size, _SIDE)) // 2)
        for size in axes.plane
    )
    middle = {
        axis.name: (axis.size // 2, axis.size // 2 + 1)
        for axis in axes.loops
        if axis.name in "tz"
    }
    part = PartView(source, ImagePart(middle, rows, columns))
    return ChannelsView(part, [0]) if "c" in axes else part


def _time_passes(computer: TileUpscaler) -> Iterator[float]:
    """Yield how long all tiles take; twice where that is quick."""
    for _ in range(2):
        begun = perf_counter()
        for tile in computer.grid:
            computer.compute(tile, computer.read(tile))
        taken = perf_counter() - begun
        yield taken
        if taken > _WARM:
            return
