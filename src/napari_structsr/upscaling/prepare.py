"""Everything that is settled before the first tile is upscaled.

Checks, device, grid and estimate need no pixel; statistics are measured on samples
spread over the stack. Nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from napari_structsr.core.axes import Channel, ImageSpec, check_plane
from napari_structsr.core.grid import TileGrid
from napari_structsr.core.intensity import Intensity, check_dtype
from napari_structsr.core.optics import FoundWidth
from napari_structsr.core.record import Record, find_versions
from napari_structsr.engine.blocks import choose_block
from napari_structsr.engine.device import Device, choose_device, read_free_memory
from napari_structsr.engine.events import Cancel, Plan
from napari_structsr.engine.failures import explain_shortage
from napari_structsr.engine.interrupt import InterruptibleSource
from napari_structsr.engine.provenance import describe_source, take_fingerprint
from napari_structsr.engine.run_tiles import AHEAD
from napari_structsr.engine.statistics import measure_intensity, read_finite_samples
from napari_structsr.engine.tiles import find_depths, lay_tiles
from napari_structsr.errors import SettingsError, SinkError
from napari_structsr.imaging.agreement import agreement_radius
from napari_structsr.imaging.filters import FILL_RADIUS
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.remote.address import is_remote
from napari_structsr.io.sink import Destination, MemorySink
from napari_structsr.io.source import Source, keep_chunks
from napari_structsr.io.units import compute_pixel_size
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.channel_optics import (
    ChannelOptics,
    find_optics,
    find_widths,
)
from napari_structsr.upscaling.correction import find_least_shares, warn_of_noise
from napari_structsr.upscaling.measured_width import measure_widths
from napari_structsr.upscaling.settings import UpscaleSettings

_MARGIN = 0.9  # share of the free memory that a result in memory may take
_SEAM = 0.01  # share of the range from which on a difference of tiles is told


@dataclass(frozen=True)
class Prepared:
    """A run that can start.

    Parameters
    ----------
    source, device, settings
        What is upscaled, where and how.
    models
        By what, by channel; a conditional model was told the optics of each.
    spec
        What the result is, contrast limits included.
    grid
        Its tiles.
    depths
        Planes of the source that are stored together, see `find_depths`.
    block
        Input rows and columns of a block, see `choose_block`.
    intensities
        Range and noise, by channel.
    least_shares
        Least share of the residual to correct within noise, by channel; none where
        that is not asked for.
    plan
        Estimate of the run.
    record
        Everything that decides the result.
    warnings
        Sentences for the user.
    notes
        What the model is told, where it was measured.
    """

    source: Source
    models: tuple[SRModel, ...]
    device: Device
    settings: UpscaleSettings
    spec: ImageSpec
    grid: TileGrid
    depths: tuple[int, ...]
    block: tuple[int, int]
    intensities: tuple[Intensity, ...]
    least_shares: tuple[float, ...]
    plan: Plan
    record: Record
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def prepare(
    source: Source,
    model: SRModel,
    sink: Destination,
    settings: UpscaleSettings,
    *,
    cancel: Cancel,
    measure: Callable[[Source], tuple[Intensity, ...]] = measure_intensity,
) -> Prepared:
    """Check everything, and measure what tiles must agree on.

    `measure` returns range and noise of each channel. After a cancel what is
    returned has no meaning.

    Raises
    ------
    CancelError
        If it was cancelled between two reads.
    StructsrError
        What keeps the run from starting.
    """
    # `choose_device` leaves the model on the device
    device, warning = choose_device(settings.device, settings.precision, model)
    spec, grid, plan = plan_tiles(source, model, sink, settings, device=device)
    # before a pixel is read; what stays in memory is not continued by another run
    fingerprint = {} if sink.path is None else {"source": take_fingerprint(source)}
    # only now: what is kept is looked at whenever it is read
    keep_chunks(source)
    # each read of a large chunk can take as long as a tile
    samples = InterruptibleSource(source, cancel)
    measured = measure_widths(samples, settings)
    if measured:  # of what is told depends how far tiles look
        spec, grid, plan = plan_tiles(
            source, model, sink, settings, device=device, measured=measured
        )
    intensities = measure(samples)
    optics = find_optics(source.spec, model, settings, intensities, measured)
    models = (model,) * len(intensities)
    if optics:
        models = tuple(
            model.with_optics(psf_sigma=one.psf_sigma, noise=one.noise)
            for one in optics
        )
    least_shares: tuple[float, ...] = ()
    if settings.agreement == "noise":
        least_shares = find_least_shares(
            read_finite_samples(samples),
            models,
            device,
            intensities=intensities,
            color=settings.color,
            cancel=cancel,
        )
    block = choose_block(device, model.values_per_pixel, grid.halo)
    record = Record(
        source=describe_source(source),
        model=_describe_model(model, optics),
        settings={
            **settings.to_record(),
            "device": device.kind,
            "precision": device.precision,
        },
        intensity=intensities,
        least_shares=least_shares,
        device=device.label,
        versions=find_versions(*model.packages),
        fingerprint=fingerprint,
    )
    warnings = [warning] if warning else []
    names = [channel.name or source.spec.name for channel in source.spec.channels]
    warnings += warn_of_noise(
        settings.agreement,
        models,
        least_shares,
        names or [source.spec.name] * len(models),
    )
    if model.seam > _SEAM and any(
        part < size for part, size in zip(block, source.spec.axes.plane, strict=True)
    ):
        warnings.append(
            f"{model.card.name} sees farther than {model.radius} pixels: blocks of "
            f"{block[0]} x {block[1]} pixels may differ by up to {model.seam:.1%} of "
            "the range where they meet"
        )
    return Prepared(
        source,
        models,
        device,
        settings,
        _add_windows(spec, intensities),
        grid,
        find_depths([source]),
        block,
        intensities,
        least_shares,
        plan,
        record,
        tuple(warnings),
        _describe_measured(source.spec, optics, measured),
    )


def plan_tiles(
    source: Source,
    model: SRModel,
    sink: Destination,
    settings: UpscaleSettings,
    *,
    device: Device,
    measured: Sequence[FoundWidth] = (),
) -> tuple[ImageSpec, TileGrid, Plan]:
    """Say what the result will be, in which tiles, and at which cost; reads no pixel.

    `measured` are the widths of the blur, where they have been measured already.

    Raises
    ------
    StructsrError
        If the source cannot be upscaled, or the result cannot be written.
    """
    _check(source, sink, settings)
    dtype = source.spec.dtype if settings.dtype == "same" else np.dtype(np.float32)
    spec = replace(source.spec.upscale(model.factor), dtype=dtype)
    sink.check(spec)
    free = read_free_memory()
    if isinstance(sink, MemorySink) and free and spec.nbytes > _MARGIN * free:
        raise explain_shortage(
            f"the result takes {spec.nbytes / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        )
    widths = [sigma for sigma, _ in find_widths(source.spec, model, settings, measured)]
    blurs = [ForwardModel(model.factor, sigma) for sigma in widths]
    halo = model.radius + max(
        agreement_radius(blur, settings.agreement)
        for blur in blurs or [model.forward_model]
    )
    if source.spec.dtype.kind == "f":  # integers have no missing pixels to fill
        halo += FILL_RADIUS
    block = choose_block(device, model.values_per_pixel, halo)
    grid = lay_tiles(
        spec.axes,
        sink.unit(spec),
        side=(settings.tile,) * 2 if settings.tile else block,
        factor=model.factor,
        halo=halo,
        align=model.align,
    )
    rows, columns = (min(u, s) for u, s in zip(grid.unit, spec.axes.plane, strict=True))
    # a queue of tiles waits to be computed, and one to be written
    in_flight = 2 * AHEAD * rows * columns * spec.axes.samples * spec.dtype.itemsize
    area = math.prod(
        min(part, size) + 2 * halo + 2 * (model.align - 1)
        for part, size in zip(block, source.spec.axes.plane, strict=True)
    )
    # features of the model, and about eight float32 images of the size of the result
    values = model.values_per_pixel * device.bytes_per_value + 8 * 4 * model.factor**2
    plan = Plan(
        tiles=len(grid),
        done=0,
        output_bytes=spec.nbytes,
        memory_bytes=in_flight + area * values * spec.axes.samples,
        device=device.label,
        precision=device.precision,
    )
    return spec, grid, plan


def _check(source: Source, sink: Destination, settings: UpscaleSettings) -> None:
    """Refuse what cannot be upscaled."""
    spec = source.spec
    check_dtype(spec.dtype)
    check_plane(spec.axes)
    if settings.color == "luminance" and spec.axes.samples < 3:
        raise SettingsError(
            "luminance was asked for, but the image has no colour samples "
            f"(axes {spec.axes.names!r}); use --color channels"
        )
    # a zarr is a folder: the result could also lie inside the input, or around it
    if sink.path is not None:
        place = getattr(sink, "address", sink.path)
        one, other = (
            PurePosixPath(each) if is_remote(each) else Path(each).resolve()
            for each in (place, source.origin)
        )
        if one == other or one in other.parents or other in one.parents:
            raise SinkError(
                f"the result {place} would lie over the input {source.origin}; "
                "choose another name"
            )


def _add_windows(spec: ImageSpec, intensities: tuple[Intensity, ...]) -> ImageSpec:
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


def _describe_measured(
    spec: ImageSpec,
    optics: Sequence[ChannelOptics],
    measured: Sequence[FoundWidth],
) -> tuple[str, ...]:
    """Say aloud what was measured, and what of it is undone."""
    size = compute_pixel_size(spec.axes)
    # a mark is measured once for all channels
    lines = dict.fromkeys(
        f"blur {found.describe(size)}; undoing {one.psf_sigma:.2f}"
        for one, found in zip(optics, measured, strict=False)
    )
    return tuple(lines)


def _describe_model(
    model: SRModel, optics: tuple[ChannelOptics, ...]
) -> dict[str, Any]:
    """Return what a record says of a model."""
    card = model.card
    found: dict[str, Any] = {
        "name": model.origin,
        "factor": model.factor,
        "sha256": card.sha256,
        "psf_sigma": card.psf_sigma,
    }
    # only models that can be blended with another have a sharpness
    if card.sharpness is not None:
        found["sharpness"] = card.sharpness
        if card.sharpness < 1:
            found["parents"] = card.parents
    if optics:
        found["optics"] = [one.to_record() for one in optics]
    return found
