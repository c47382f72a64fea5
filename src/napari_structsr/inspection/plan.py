"""What follows from the setup of an inspection: specs, grid, estimate, record, limits.

Pure functions, but for `read_tile`, which reads what a tile needs.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.axes import Axes, Channel, ImageSpec
from napari_structsr.core.error_map import MAPS
from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.core.record import Record, find_versions
from napari_structsr.engine.device import read_free_memory
from napari_structsr.engine.events import Plan
from napari_structsr.engine.failures import explain_shortage
from napari_structsr.engine.provenance import (
    describe_source,
    hash_samples,
)
from napari_structsr.engine.tiles import AHEAD, lay_tiles
from napari_structsr.errors import SettingsError
from napari_structsr.inspection.map_block import Pixels
from napari_structsr.inspection.map_tiles import map_dtype
from napari_structsr.inspection.matching import MatchedImages
from napari_structsr.inspection.scores import PlaneScores
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.setup import Setup
from napari_structsr.io.ome_zarr.map_store import MapStores

__all__ = [
    "choose_limits",
    "crop_regions",
    "describe_maps",
    "lay_map_tiles",
    "make_record",
    "plan_maps",
    "read_tile",
]

_MARGIN = 0.9  # share of the free memory that maps in memory may take
_SHOWN = (0.5, 99.5)  # percentiles of a map that are shown
_PARTS = (0.1, 0.25, 0.5, 1.0)  # of the scale of a similarity, if it is hardly left


def make_record(
    setup: Setup, settings: InspectSettings, *, digests: bool = False
) -> Record:
    """Write down everything that decides the maps.

    With digests also what the pixels were, so that maps on disk are not taken for those
    of an image that was made anew.
    """
    matched, computer = setup.matched, setup.computer
    facts = describe_source(matched.result)
    if digests:
        images = (matched.result, matched.reference, matched.source)
        facts["digests"] = [image and hash_samples(image) for image in images]
    models = computer.companions.loaded
    calibration = computer.companions.calibration
    return Record(
        source=facts,
        model={
            "name": setup.model,
            "factor": matched.factor,
            "sha256": [model.card.sha256 for model in models],
            "calibration": calibration
            and hashlib.sha256(calibration.model_dump_json().encode()).hexdigest(),
            "psf_sigma": computer.forward_model.psf_sigma,
        },
        settings={
            "reference": matched.reference and matched.reference.origin,
            "source": matched.source and matched.source.origin,
            "channels": (
                matched.reference or matched.source or matched.result
            ).options.get("channels"),
            **settings.model_dump(mode="json", exclude={"worst", "place"}),
            "maps": list(computer.keys),
            "device": computer.device.kind,
            "tile": computer.blocks.side,
        },
        intensity=setup.ranges,
        least_shares=(),
        device=computer.device.label,
        versions=find_versions(*(name for model in models for name in model.packages)),
        task="inspect",
    )


def crop_regions(
    regions: npt.NDArray[Any] | None, axes: Axes, setup: Setup
) -> npt.NDArray[Any] | None:
    """Check the regions, and cut them as the result was cut."""
    if regions is None:
        return None
    regions = np.asarray(regions)
    loops = tuple(axis.size for axis in setup.matched.result.spec.axes.loops)
    if regions.shape not in (axes.plane, (*loops, *axes.plane)):
        raise SettingsError(
            f"the regions have the shape {regions.shape}, the result has planes of "
            f"{axes.plane} pixels; give labels on the pixels of the result"
        )
    if regions.dtype.kind not in "uib":
        raise SettingsError(
            f"the regions are {regions.dtype}; give labels, which are integers"
        )
    rows, columns = _kept(axes, setup.matched.result.spec.axes)
    regions = regions[..., rows, columns]
    if not regions.any() or (regions < 0).any():
        raise SettingsError(
            "the regions hold no object, or negative labels; draw at least one "
            "region on the part of the result that is compared"
        )
    return regions


def _kept(whole: Axes, part: Axes) -> tuple[slice, slice]:
    """Return the rows and columns of an image that a part of it covers."""
    found = []
    for name in "yx":
        start = round(
            (part[name].translate - whole[name].translate) / whole[name].scale
        )
        found.append(slice(start, start + part[name].size))
    return found[0], found[1]


def describe_maps(setup: Setup) -> dict[str, ImageSpec]:
    """Say what each map is as an image."""
    spec = setup.matched.result.spec
    found = {}
    for key in setup.computer.keys:
        entry = MAPS[key]
        known = spec.channels or (Channel(),) * len(setup.computer.scalings)
        low_high = entry.limits and (min(entry.limits), max(entry.limits))
        found[key] = replace(
            spec,
            name=f"{spec.name} {entry.title}",
            axes=spec.axes.canonical(),
            dtype=map_dtype(key),
            channels=tuple(replace(one, color=None, window=low_high) for one in known),
        )
    return found


def lay_map_tiles(setup: Setup, stores: MapStores) -> TileGrid:
    """Lay tiles over the maps."""
    computer = setup.computer
    return lay_tiles(
        stores.spec.axes,
        stores.unit,
        side=computer.blocks.side,
        factor=computer.factor,
        halo=computer.halo,
        align=computer.align,
    )


def plan_maps(setup: Setup, stores: MapStores, grid: TileGrid, left: int) -> Plan:
    """Estimate the run; refuse maps that do not fit into memory."""
    computer = setup.computer
    free = read_free_memory()
    if stores.in_memory and free and stores.nbytes > _MARGIN * free:
        raise explain_shortage(
            f"the maps take {stores.nbytes / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        )
    rows, columns = (
        min(u, s) for u, s in zip(grid.unit, stores.spec.axes.plane, strict=True)
    )
    in_flight = 2 * AHEAD * rows * columns * 4 * (2 + len(computer.keys))
    return Plan(
        tiles=len(grid),
        done=len(grid) - left,
        output_bytes=stores.nbytes,
        memory_bytes=in_flight + computer.block_bytes,
        device=computer.device.label,
        precision=computer.device.precision,
    )


def read_tile(matched: MatchedImages, tile: Tile) -> Pixels:
    """Read what a tile needs, with halo."""
    coarse = tile.read
    factor = matched.factor
    rows, columns = (slice(s.start * factor, s.stop * factor) for s in coarse)
    reference, source = matched.reference, matched.source
    return Pixels(
        matched.result.read(tile.plane, rows, columns),
        None if reference is None else reference.read(tile.plane, rows, columns),
        None if source is None else source.read(tile.plane, *coarse),
    )


def choose_limits(
    setup: Setup, planes: list[PlaneScores]
) -> dict[str, tuple[float, float]]:
    """Choose the values to show of each map, from the best to the worst."""
    found = {}
    for key in setup.computer.keys:
        entry = MAPS[key]
        values = [v for plane in planes for v in plane.samples.get(key, ())]
        low, high = np.percentile(values, _SHOWN) if values else (0.0, 1.0)
        if entry.limits is None:
            found[key] = (0.0, float(high or max(values, default=0.0) or 1.0))
        elif entry.worse == "low":
            best, worst = entry.limits
            reached = [best + share * (worst - best) for share in _PARTS]
            found[key] = (best, next((v for v in reached if v <= low), worst))
        else:
            found[key] = entry.limits
    return found
