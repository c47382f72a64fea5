"""What follows from the setup of an inspection: specs, grid, estimate and record."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from napari_structsr.core.axes import Axes, Channel, ImageSpec
from napari_structsr.core.error_map import MAPS
from napari_structsr.core.grid import TileGrid
from napari_structsr.core.record import Record, find_versions
from napari_structsr.core.types import Array
from napari_structsr.engine.device import read_free_memory
from napari_structsr.engine.events import Plan
from napari_structsr.engine.failures import explain_shortage
from napari_structsr.engine.provenance import describe_source, hash_samples
from napari_structsr.engine.run_tiles import AHEAD
from napari_structsr.engine.tiles import lay_tiles
from napari_structsr.errors import SettingsError
from napari_structsr.imaging.expected_error import EXPECTED_ERROR_RADIUS
from napari_structsr.imaging.filters import FILL_RADIUS
from napari_structsr.imaging.local_resolution import resolution_radius
from napari_structsr.imaging.orientation import orientation_radius
from napari_structsr.imaging.squirrel import squirrel_radius
from napari_structsr.inspection.map_block import CHANGE_RADIUS
from napari_structsr.inspection.map_tiles import map_dtype
from napari_structsr.inspection.scoring.scores import PlaneScores
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.setup import Setup
from napari_structsr.io.ome_zarr.map_store import MapStores

_BICUBIC_REACH = 3  # source pixels
_RESOLUTION_ALIGN = 16  # pixels of the fixed grid of its windows
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
    matched, models = setup.matched, setup.models
    facts = describe_source(matched.result)
    if digests:
        # a file may be overwritten: its name alone does not tell
        images = (matched.result, matched.reference, matched.source)
        facts["digests"] = [image and hash_samples(image) for image in images]
    calibration = models.calibration
    return Record(
        source=facts,
        model={
            "name": setup.made_by,
            "factor": matched.factor,
            "sha256": [model.card.sha256 for model in models.loaded],
            "calibration": calibration
            and hashlib.sha256(calibration.model_dump_json().encode()).hexdigest(),
            "psf_sigma": _list_widths(setup),
        },
        settings={
            "reference": matched.reference and matched.reference.origin,
            "source": matched.source and matched.source.origin,
            "channels": (
                matched.reference or matched.source or matched.result
            ).options.get("channels"),
            # the list of worst places does not change the maps
            **settings.model_dump(mode="json", exclude={"worst", "place"}),
            # what is chosen follows the machine, and decides the last digits
            "precision": setup.companion.precision,
            "maps": list(setup.keys),
            "device": setup.device.kind,
            "tile": setup.tile_side,
        },
        intensity=tuple(scaling.truth for scaling in setup.scalings),
        least_shares=(),
        device=setup.device.label,
        versions=find_versions(
            *(name for model in models.loaded for name in model.packages)
        ),
        fingerprint=setup.fingerprint,
        task="inspect",
    )


def _list_widths(setup: Setup) -> float | list[float]:
    """Return the width of the point-spread function, by channel where they differ."""
    widths = [model.psf_sigma for model in setup.forward_models]
    return widths[0] if len(set(widths)) == 1 else widths


def crop_regions(regions: Array | None, axes: Axes, setup: Setup) -> Array | None:
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
    # matching may have cut the result to what the reference covers
    part = setup.matched.result.spec.axes
    top, left = (
        round((part[name].translate - axes[name].translate) / axes[name].scale)
        for name in "yx"
    )
    height, width = part.plane
    regions = regions[..., top : top + height, left : left + width]
    if not regions.any() or (regions < 0).any():
        raise SettingsError(
            "the regions hold no object, or negative labels; draw at least one "
            "region on the part of the result that is compared"
        )
    return regions


def describe_maps(
    spec: ImageSpec, keys: Iterable[str], *, channels: int
) -> dict[str, ImageSpec]:
    """Say what each map of a result is as an image."""
    found = {}
    for key in keys:
        entry = MAPS[key]
        known = spec.channels or (Channel(),) * channels
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
    """Lay tiles over the maps.

    Each map looks no farther than a known distance, so that tiles equal the whole
    image; the largest distance of the chosen maps is the halo.
    """
    aligns = [model.align for model in setup.models.loaded]
    if "resolution" in setup.keys:
        aligns.append(_RESOLUTION_ALIGN)
    return lay_tiles(
        stores.spec.axes,
        stores.unit,
        side=(setup.tile_side,) * 2,
        factor=setup.matched.factor,
        halo=_find_halo(setup),
        align=math.lcm(1, *aligns),
    )


def _find_halo(setup: Setup) -> int:
    """Return the source pixels that decide a pixel of a map, to each side."""
    network = max((model.radius for model in setup.models.loaded), default=0)
    # the widest point-spread function reaches farthest
    forward = max(setup.forward_models, key=lambda model: model.radius)
    # pixels of the result, and of the source
    reach: dict[str, tuple[int, int]] = {
        "error": (0, 0),
        "ssim": (5, 0),
        "gradient": (1, 0),
        "gradient_similarity": (1, 0),
        "coherence": (orientation_radius(), 0),
        "orientation": (orientation_radius(), 0),
        "resolution": (resolution_radius(), 0),
        "change": (0, CHANGE_RADIUS + _BICUBIC_REACH),
        "residual": (0, forward.reach + 1),
        "squirrel": (squirrel_radius(), _BICUBIC_REACH),
        "artefact": (5, network),
        "spread": (0, network),
        "null_space": (0, forward.radius + 1),
        "trust": (0, EXPECTED_ERROR_RADIUS + 1),
        "interval": (0, EXPECTED_ERROR_RADIUS + 1),
    }
    # map by map: the one that looks farthest is seldom the one that runs a network
    return FILL_RADIUS + max(
        reach[key][1] + -(-reach[key][0] // setup.matched.factor) for key in setup.keys
    )


def plan_maps(setup: Setup, stores: MapStores, grid: TileGrid, left: int) -> Plan:
    """Estimate the run; refuse maps that do not fit into memory."""
    free = read_free_memory()
    if stores.in_memory and free and stores.nbytes > _MARGIN * free:
        raise explain_shortage(
            f"the maps take {stores.nbytes / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        )
    rows, columns = (
        min(u, s) for u, s in zip(grid.unit, stores.spec.axes.plane, strict=True)
    )
    # the images that are read, and all maps of a tile, in float32
    in_flight = 2 * AHEAD * rows * columns * 4 * (2 + len(setup.keys))
    network = max((m.values_per_pixel for m in setup.models.loaded), default=0)
    fine = 4 * (16 + 2 * len(setup.keys)) * grid.factor**2
    per_pixel = network * setup.device.bytes_per_value + fine
    return Plan(
        tiles=len(grid),
        done=len(grid) - left,
        output_bytes=stores.nbytes,
        memory_bytes=in_flight + (setup.block_side + 2 * grid.halo) ** 2 * per_pixel,
        device=setup.device.label,
        precision=setup.device.precision,
    )


def choose_limits(
    setup: Setup, planes: list[PlaneScores]
) -> dict[str, tuple[float, float]]:
    """Choose the values to show of each map, from the best to the worst."""
    found = {}
    for key in setup.keys:
        entry = MAPS[key]
        values = [v for plane in planes for v in plane.samples.get(key, ())]
        low, high = np.percentile(values, _SHOWN) if values else (0.0, 1.0)
        if entry.limits is None:
            # an intensity has no natural limit; a map without error still needs a range
            found[key] = (0.0, float(high or max(values, default=0.0) or 1.0))
        elif entry.worse == "low":
            # a similarity that hardly drops is shown on a part of its scale
            best, worst = entry.limits
            reached = [best + share * (worst - best) for share in _PARTS]
            found[key] = (best, next((v for v in reached if v <= low), worst))
        else:
            found[key] = entry.limits
    return found
