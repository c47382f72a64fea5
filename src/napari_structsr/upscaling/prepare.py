"""What stands before the first tile: checks, the grid, the estimate, the record.

Pure functions of what is read, how and where; they touch no pixel and write nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_structsr.core.axes import Channel, ImageSpec, check_plane
from napari_structsr.core.grid import TileGrid
from napari_structsr.core.intensity import Intensity, check_dtype
from napari_structsr.core.record import Record, find_versions
from napari_structsr.engine.device import read_free_memory
from napari_structsr.engine.events import Plan
from napari_structsr.engine.failures import explain_shortage
from napari_structsr.engine.provenance import describe_source
from napari_structsr.engine.tiles import AHEAD, lay_tiles
from napari_structsr.errors import SettingsError, SinkError
from napari_structsr.io.sink import MemorySink, Sink
from napari_structsr.io.source import Source
from napari_structsr.models.card import ModelCard
from napari_structsr.upscaling.tile_upscaler import TileUpscaler

__all__ = [
    "checked_spec",
    "make_record",
    "planned",
    "tile_grid",
    "with_windows",
]

_MARGIN = 0.9  # share of the free memory that a result in memory may take


def checked_spec(source: Source, computer: TileUpscaler, sink: Sink) -> ImageSpec:
    """Refuse what cannot be upscaled or written; return the spec of the result."""
    spec = source.spec
    check_dtype(spec.dtype)
    check_plane(spec.axes)
    if computer.settings.color == "luminance" and spec.axes.samples < 3:
        raise SettingsError(
            "luminance was asked for, but the image has no colour samples "
            f"(axes {spec.axes.names!r}); use --color channels"
        )
    if sink.path and _overlap(sink.path, Path(source.origin)):
        raise SinkError(
            f"the result {sink.path} would lie over the input {source.origin}; "
            "choose another name"
        )
    result = replace(spec.upscale(computer.model.factor), dtype=computer.dtype)
    sink.check(result)
    free = read_free_memory()
    if isinstance(sink, MemorySink) and free and result.nbytes > _MARGIN * free:
        raise explain_shortage(
            f"the result takes {result.nbytes / 1e9:.3g} GB, {free / 1e9:.3g} GB are "
            "free"
        )
    return result


def _overlap(one: Path, other: Path) -> bool:
    """Tell whether two paths are the same or one lies inside the other."""
    one, other = one.resolve(), other.resolve()
    return one == other or one in other.parents or other in one.parents


def with_windows(spec: ImageSpec, intensities: Sequence[Intensity]) -> ImageSpec:
    """Give channels without contrast limits those of the statistics."""
    known = spec.channels or (Channel(),) * len(intensities)
    return replace(
        spec,
        channels=tuple(
            channel
            if channel.window
            else replace(channel, window=(found.low, found.high))
            for channel, found in zip(known, intensities, strict=True)
        ),
    )


def tile_grid(spec: ImageSpec, computer: TileUpscaler, sink: Sink) -> TileGrid:
    """Lay tiles over the result."""
    return lay_tiles(
        spec.axes,
        sink.unit(spec),
        side=computer.blocks.side,
        factor=computer.model.factor,
        halo=computer.halo,
        align=computer.model.align,
    )


def planned(spec: ImageSpec, computer: TileUpscaler, grid: TileGrid, done: int) -> Plan:
    """Estimate a run of which `done` tiles are finished."""
    rows, columns = (min(u, s) for u, s in zip(grid.unit, spec.axes.plane, strict=True))
    tile = rows * columns * spec.axes.samples
    in_flight = 2 * AHEAD * tile * spec.dtype.itemsize
    return Plan(
        tiles=len(grid),
        done=done,
        output_bytes=spec.nbytes,
        memory_bytes=in_flight + computer.block_bytes,
        device=computer.device.label,
        precision=computer.device.precision,
    )


def make_record(source: Source, computer: TileUpscaler) -> Record:
    """Write down everything that decides the result."""
    model, device = computer.model, computer.device
    return Record(
        source=describe_source(source),
        model={
            "name": model.origin,
            "factor": model.factor,
            "sha256": model.card.sha256,
            "psf_sigma": model.card.psf_sigma,
            **_blend_of(model.card),
        },
        settings={
            **computer.settings.model_dump(),
            "device": device.kind,
            "precision": device.precision,
            "tile": computer.blocks.side,
        },
        intensity=computer.intensities,
        least_shares=computer.least_shares,
        device=device.label,
        versions=find_versions(*model.packages),
    )


def _blend_of(card: ModelCard) -> dict[str, Any]:
    """Return what a record says of a model that can be blended with another."""
    if card.sharpness is None:
        return {}
    made_of = {"parents": card.parents} if card.sharpness < 1 else {}
    return {"sharpness": card.sharpness, **made_of}
