"""Range and noise of each channel, from samples spread over the whole stack."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np

from napari_structsr.core.intensity import Intensity, fit_intensity
from napari_structsr.core.types import Array
from napari_structsr.errors import PixelError
from napari_structsr.io.source import Source

_PLANES = 8
_BLOCKS = 3  # along y and along x
_SIDE = 192
_SMALL = 160  # pixels of a sample that the model itself is tried on
_AT_ONCE = 4  # reads of a store that may be far away
# of a channel that is searched at once for a range, where nobody wants to wait
_FEW_PLANES = 64
_FEW_PIXELS = 1 << 24

Place = tuple[tuple[int, ...], slice, slice]


def measure_intensity(source: Source) -> tuple[Intensity, ...]:
    """Measure every channel of a source, one entry for each index along c.

    Up to 72 blocks of 192 x 192 pixels are read for a channel, always the same
    ones. Where they hold no number, or one number only, the rest of the channel is
    searched until it shows a range. `PixelError` says that no pixel at all is finite.
    """
    axes = source.spec.axes
    count = axes["c"].size if "c" in axes else 1
    return tuple(
        _sample(source, channel) or _search(source, channel) for channel in range(count)
    )


def measure_few_planes(source: Source) -> tuple[Intensity, ...]:
    """Measure every channel as `measure_intensity` does, but never search a large one.

    At most 8 planes are read of a channel, 3 x 3 blocks of 192 x 192 pixels of each.
    Where they show no range, a channel of up to 64 planes and 2**24 pixels is
    searched; a larger one counts as constant, see `measure_plane`.
    """
    axes = source.spec.axes
    found = []
    for channel in range(axes["c"].size if "c" in axes else 1):
        planes = len(_list_planes(source, channel))
        small = planes <= min(_FEW_PLANES, _FEW_PIXELS // math.prod(axes.plane))
        one = _sample(source, channel) or (_search(source, channel) if small else None)
        found.append(one or Intensity(0.0, 0.0))
    return tuple(found)


def measure_plane(
    source: Source, plane: tuple[int, ...], pixels: Array
) -> Intensity | None:
    """Measure a plane by its 3 x 3 blocks, and `pixels` read of it; None if constant.

    `pixels` have the shape (samples, rows, columns).
    """
    if not _differ(pixels):
        return None
    spans = (_spread_slices(size) for size in source.spec.axes.plane)
    read = [source.read(plane, *place) for place in product(*spans)]
    found = fit_intensity([block for samples in [*read, pixels] for block in samples])
    return None if found.constant else found


def read_finite_samples(source: Source) -> list[list[Array]]:
    """Return up to nine blocks of each channel without NaN, spread over the stack.

    They lie on a grid of 3 x 3 places, each on a plane of its own where there are as
    many. Their shape is (samples, rows, columns), at most 160 pixels along y and x.
    """
    axes = source.spec.axes
    height, width = (min(size, _SMALL) for size in axes.plane)
    found = []
    for channel in range(axes["c"].size if "c" in axes else 1):
        planes = _list_planes(source, channel)
        blocks = []
        for number, (down, right) in enumerate(product((0, 0.5, 1), repeat=2)):
            top = round(down * (axes.plane[0] - height))
            left = round(right * (axes.plane[1] - width))
            plane = planes[number * (len(planes) - 1) // 8]
            rows, columns = slice(top, top + height), slice(left, left + width)
            blocks.append(source.read(plane, rows, columns))
        found.append([block for block in blocks if np.isfinite(block).all()])
    return found


def list_samples(source: Source, channel: int) -> Iterator[Place]:
    """Return the blocks that `measure_intensity` reads first of a channel.

    Each by plane, rows and columns: at most 8 planes, and 3 x 3 blocks of each.
    """
    planes = _list_planes(source, channel)
    chosen = np.unique(np.linspace(0, len(planes) - 1, _PLANES).round().astype(int))
    rows, columns = (_spread_slices(size) for size in source.spec.axes.plane)
    return product((planes[index] for index in chosen), rows, columns)


def _sample(source: Source, channel: int) -> Intensity | None:
    """Measure a channel by samples; None where they show no range."""
    places = list(list_samples(source, channel))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # in the order of the places, however they arrive
        read = pool.map(lambda place: source.read(*place), places)
        blocks = [block for samples in read for block in samples]
    if _differ(*blocks):
        found = fit_intensity(blocks)
        if not found.constant:
            return found
    return None


def _search(source: Source, channel: int) -> Intensity:
    """Read a channel until it shows a range: samples of a sparse one may show none."""
    seen: list[Array] = []
    spans = [
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(source.spec.axes.plane, source.chunks, strict=True)
    ]
    for plane, rows, columns in product(_list_planes(source, channel), *spans):
        for block in source.read(plane, rows, columns):
            if np.isfinite(block).any():
                # two blocks at a time: memory stays bounded
                seen = [*seen[-1:], block]
                # most are empty, and a fit takes far longer than a look
                if _differ(*seen):
                    found = fit_intensity(seen)
                    if not found.constant:
                        return found
    if not seen:
        which = f"channel {channel}" if "c" in source.spec.axes else source.spec.name
        raise PixelError(
            f"{which} holds nothing but NaN or infinity; leave it out, or give an "
            "image that holds numbers"
        )
    return fit_intensity(seen)


def _differ(*blocks: Array) -> bool:
    """Return whether a finite pixel differs from another."""
    finite = [block[np.isfinite(block)] for block in blocks]
    held = [pixels for pixels in finite if pixels.size]
    return bool(held) and min(p.min() for p in held) < max(p.max() for p in held)


def _list_planes(source: Source, channel: int) -> list[tuple[int, ...]]:
    axes = source.spec.axes
    return [plane for plane in axes.planes() if axes.channel_of(plane) == channel]


def _spread_slices(size: int) -> list[slice]:
    """Return equal slices spread over an axis, or the whole of a short one."""
    if size <= _BLOCKS * _SIDE:
        return [slice(0, size)]
    starts = np.linspace(0, size - _SIDE, _BLOCKS).round().astype(int)
    return [slice(int(start), int(start) + _SIDE) for start in starts]
