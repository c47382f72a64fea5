"""From layers and files to the pairs that are asked for; no pixel is read.

It owns how layers, shapes and dimensions of napari become planes and rectangles of the
engine: the viewer is read in the main thread alone, and pairs are made in a worker.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer, Shapes
from napari.viewer import Viewer

from napari_structsr.gui.finetune.pairs_entry import (
    LayerFrame,
    PairImage,
    PairRequest,
)
from napari_structsr.gui.finetune.pairs_state import PairsState
from napari_structsr.gui.viewer.alignment import open_source_on
from napari_structsr.gui.viewer.layers import KEY, free_name, key_of, layer_obstacle
from napari_structsr.gui.viewer.navigation import unit_ratios
from napari_structsr.io.open import open_source
from napari_structsr.pairs.files import file_stem, match_files


def list_images(viewer: Viewer) -> list[PairImage]:
    """Return what is known of the images that can be part of a pair."""
    found = []
    for layer in viewer.layers:
        # the overlay of a pair is no image of its own
        if layer.metadata.get(KEY) == "check" or layer_obstacle(layer) is not None:
            continue
        axes = open_source(layer).spec.axes
        found.append(
            PairImage(
                key=key_of(layer),
                name=layer.name,
                plane=axes.plane,
                pixel=(axes["y"].scale, axes["x"].scale),
                unit=axes["y"].unit,
                planes=math.prod(axis.size for axis in axes.loops),
                rgb=axes.samples > 1,
            )
        )
    return found


def list_unusable_layers(viewer: Viewer) -> list[tuple[str, str]]:
    """Return the names of image layers that cannot be part of a pair, and why not."""
    return [
        (layer.name, why)
        for layer in viewer.layers
        if isinstance(layer, Image)
        and layer.metadata.get(KEY) is None
        and (why := layer_obstacle(layer)) is not None
    ]


def count_regions(viewer: Viewer) -> dict[str, tuple[str, int]]:
    """Return the name of each layer that can hold regions, and how many it holds."""
    # the rectangles of a split are Shapes too, but no regions to add
    return {
        key_of(layer): (layer.name, len(layer.data))
        for layer in viewer.layers
        if isinstance(layer, Shapes) and layer.metadata.get(KEY) in (None, "regions")
    }


def make_requests(
    viewer: Viewer, state: PairsState, *, taken: Collection[str] = ()
) -> list[PairRequest]:
    """Return the pairs that the user asks for.

    The `add` of the state is None, and pairs have the names `taken` already.

    Raises
    ------
    StructsrError
        If files do not belong together, or a layer is turned against the other.
    """
    choice = state.choice
    if choice.kind == "files":
        found = [
            PairRequest(
                name=file_stem(low),
                low=None,
                high=None,
                paths=(str(low), str(high)),
                factor=state.factor,
                bins=state.bins,
            )
            for low, high in match_files(Path(choice.low_path), Path(choice.high_path))
        ]
    else:
        found = _request_layers(viewer, state)
    names = set(taken)
    requests = []
    for request in found:
        name = free_name(request.name, names)
        names.add(name)
        requests.append(replace(request, name=name))
    return requests


def _request_layers(viewer: Viewer, state: PairsState) -> list[PairRequest]:
    choice = state.choice
    layers: dict[str | None, Any] = {key_of(one): one for one in viewer.layers}
    alone = choice.kind == "high"
    high = layers[choice.high]
    drawn_on = high if alone else layers[choice.low]
    axes = open_source(drawn_on).spec.axes
    names = axes.names.replace("s", "")  # napari keeps samples out of the dimensions
    dims = names.index("y"), names.index("x")
    # `open_source_on` brings the other layer to the order and the units of this one
    common = PairRequest(
        name=drawn_on.name,
        low=None if alone else open_source(drawn_on),
        high=open_source(high) if alone else open_source_on(drawn_on, high),
        paths=(None if alone else _find_path(layers[choice.low]), _find_path(high)),
        factor=state.factor,
        bins=state.bins,
        psf_sigma=state.sigma,
        sample=None if choice.sample is None else open_source(layers[choice.sample]),
    )
    shown = drawn_on.world_to_data(viewer.dims.point[-drawn_on.ndim :])
    here = _round_to_pixel(shown, drawn_on)
    # the first pixel is not known before registration has cropped the pair
    frame = LayerFrame(key_of(drawn_on), here, dims, (0.0, 0.0))
    regions: list[tuple[tuple[int, ...], tuple[int, int, int, int] | None, str]] = []
    if (shapes := layers.get(choice.regions)) is None:
        regions.append((here, None, drawn_on.name))
    else:
        for number, corners in enumerate(_map_shapes(shapes, drawn_on, here), 1):
            position = _round_to_pixel(corners.mean(axis=0), drawn_on)
            # whole pixels, which may lie outside: the engine refuses those in words
            rows, columns = replace(frame, step=state.bins).to_pixels(corners)
            regions.append((position, (*rows, *columns), f"region {number}"))
    # a computed or binned partner has pixels that are coarser than those drawn on
    step = float((state.factor or 2) if alone else state.bins)
    return [
        replace(
            common,
            name=name,
            region=region,
            plane=tuple(position[names.index(axis.name)] for axis in axes.loops),
            frame=replace(frame, position=position, step=step),
        )
        for position, region, name in regions
    ]


def _map_shapes(
    shapes: Shapes, layer: Layer, here: tuple[int, ...]
) -> list[npt.NDArray[np.float64]]:
    """Return the corners of shapes in pixels of another layer.

    Dimensions that the shapes lack are those of the plane that is shown.
    """
    # napari aligns dimensions at the last one, and layers may have other units
    count = min(shapes.ndim, layer.ndim)
    shares = unit_ratios(shapes.units[-count:], layer.units[-count:])
    base = np.array(layer.data_to_world(here), float)
    found = []
    for corners in shapes.data:
        points = []
        for corner in np.asarray(corners, float):
            world = base.copy()
            at = np.array(shapes.data_to_world(corner), float)
            world[-count:] = at[-count:] * shares
            points.append(np.array(layer.world_to_data(world), float))
        found.append(np.array(points))
    return found


def _round_to_pixel(point: npt.ArrayLike, layer: Image) -> tuple[int, ...]:
    # a plane that is shown for another layer may lie outside of this one
    sizes = np.array(layer.level_shapes[0])[: layer.ndim]
    nearest = np.clip(np.rint(np.asarray(point, float)), 0, sizes - 1)
    return tuple(int(index) for index in nearest)


def _find_path(layer: Layer) -> str | None:
    # napari keeps the path of a sample or of a file that was moved
    path = layer.source.path
    return str(path) if path and Path(path).exists() else None
