"""Between layers of napari and images of the engine.

It owns what a layer must be to be upscaled, and how a result is placed, named and
shown. A layer places its data by ``L p + translate``, where L holds scale, rotation
and shear, and then by its affine. A result has finer pixels along y and x and keeps
its edges, so that its first pixel lies at the fractional position ``origin`` of the
source::

    L'         = L diag(1, 1/factor, 1/factor)       scale alone changes
    translate' = L origin + translate
    origin     = (0, (1/factor - 1) / 2, (1/factor - 1) / 2)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import zarr
from napari.layers import Image, Labels, Layer
from napari.utils.transforms import Affine
from napari.viewer import Viewer

from napari_structsr.core.axes import Axes
from napari_structsr.errors import StructsrError
from napari_structsr.io.layer_file import KEY as KEY  # for all of gui
from napari_structsr.io.layer_file import MAKING
from napari_structsr.io.open import open_source
from napari_structsr.io.records import read_zarr_record

# what a result takes over from its source as it is
_KEPT = (
    "attenuation",
    "axis_labels",
    "blending",
    "colormap",
    "contrast_limits",
    "gamma",
    "interpolation2d",
    "interpolation3d",
    "iso_threshold",
    "opacity",
    "projection_mode",
    "rendering",
    "rgb",
    "units",
)
# blendings in which what lies below is seen through all that lies above
_THROUGH = ("additive", "minimum", "multiplicative")
_SMALLEST = 512  # pixels along the longer side of the coarsest level in memory


def layer_obstacle(layer: Layer) -> str | None:
    """Say in words why a layer cannot be upscaled; None if it can."""
    if isinstance(layer, Labels):
        return "labels hold no intensities; select the image they were made from"
    if not isinstance(layer, Image):
        # not from `as_layer_data_tuple`, which collects all that the layer holds
        kind = type(layer).__name__.lower()
        return f"{kind} hold no intensities; select an image"
    if layer.metadata.get(KEY) == "preview":
        return "this is a preview; select the image it was made from"
    if MAKING in layer.metadata:
        return "its pixels are still being made; wait a moment"
    try:
        axes = open_source(layer).spec.axes
    except StructsrError as error:
        return str(error)
    # napari counts no dimension for the samples of a colour pixel
    if len(axes.names.replace("s", "")) != layer.ndim:
        return "there are more dimensions than t, c, z, y and x; remove those of size 1"
    return None


def key_of(layer: Layer) -> str:
    """Return what a layer is known by, whatever its name."""
    # names are changed by users, and need not be unique
    return str(layer.unique_id)


def names_of(viewer: Viewer) -> set[str]:
    """Return the names of all layers."""
    return {layer.name for layer in viewer.layers}


def list_events(viewer: Viewer) -> tuple[Any, ...]:
    """Return the events after which a choice of layers has to be filled in anew."""
    layers = viewer.layers
    return (
        layers.events.inserted,
        layers.events.removed,
        layers.events.renamed,
        layers.selection.events.changed,
    )


def free_name(name: str, taken: Collection[str]) -> str:
    """Return the name, with a number if there is a layer of this name already."""
    numbered = (f"{name} ({number})" for number in count(2))
    return next(free for free in chain([name], numbered) if free not in taken)


def free_path(folder: Path, name: str) -> Path:
    """Return a path for an OME-Zarr store: a new one, or one that is unfinished."""
    stem = re.sub(r"[^\w()+\-]+", "_", name.replace("×", "x")).strip("_") or "result"
    number, path = 1, folder / f"{stem}.ome.zarr"
    while path.exists():
        try:
            # an unfinished run is gone on with, in its own place
            if read_zarr_record(path)[0] == "partial":
                break
        except StructsrError:
            pass  # no store at all, and therefore in the way
        number += 1
        path = folder / f"{stem}_{number}.ome.zarr"
    return path


def result_layer(
    source: Image,
    output: npt.NDArray[Any] | Path | list[Any],
    *,
    factor: int,
    axes: Axes,
    name: str,
    metadata: dict[str, Any],
    origin: Sequence[float] | None = None,
) -> Image:
    """Make the layer that shows a result in the place of its source.

    The output is as in `make_levels`, the axes are those of the source in the order of
    its data. The first pixel of the upscaled data lies at `origin` in the source, in
    its pixels; by default the source has been upscaled from its first pixel on.
    """
    names = axes.names.replace("s", "")
    spatial = [names.index("y"), names.index("x")]
    start = np.zeros(source.ndim) if origin is None else np.array(origin, float)
    # the edges stay, so that the middle of the first pixel moves
    start[spatial] += (1 / factor - 1) / 2
    scale = np.array(source.scale)
    scale[spatial] /= factor
    kept = {key: getattr(source, key) for key in _KEPT}
    layer = Image(
        **make_levels(output, axes.names, many=source.multiscale),
        name=name,
        metadata=metadata,
        **kept | find_placement(source, start) | {"scale": scale},
    )
    # set again: Image(contrast_limits=...) narrows the range of the slider to them
    layer.contrast_limits_range = source.contrast_limits_range
    layer.contrast_limits = source.contrast_limits
    return layer


def copy_placement(layer: Layer) -> dict[str, Any]:
    """Return the arguments with which another layer lies on the pixels of this one."""
    same = ("scale", "translate", "rotate", "shear", "units", "axis_labels")
    placement = {name: getattr(layer, name) for name in same}
    # a copy: napari would share the transform object between both layers
    return {**placement, "affine": np.array(layer.affine)}


def insert_above(viewer: Viewer, source: Layer, *results: Layer) -> None:
    """Add layers above another and its results; the selection stays.

    The lowest comes first, and they come to the top if the other is not in the list.
    """
    layers = viewer.layers
    place = layers.index(source) + 1 if source in layers else len(layers)
    # a result that lay below an earlier one would not be seen
    while place < len(layers) and _is_result_of(layers[place], source):
        place += 1
    _insert(viewer, place, results)


def _insert(viewer: Viewer, place: int, added: Sequence[Layer]) -> None:
    layers = viewer.layers
    selected, active = set(layers.selection), layers.selection.active
    # napari selects each new layer, and would build the controls of all of them
    with layers.selection.events.blocker_all():
        for number, layer in enumerate(added):
            layers.insert(place + number, layer)
        layers.selection = selected & set(layers)
        if active in layers:
            layers.selection.active = active
            # an active layer becomes the only selected one
            layers.selection.update(selected & set(layers))


def insert_part(viewer: Viewer, source: Layer, part: Layer) -> None:
    """Add the result of a part of an image, around which the image is still seen.

    Where light adds up, as it does of channels, the part covers what lies below, and
    the same parts of other channels add to it alone.
    """
    if part.blending not in _THROUGH or not part.visible:
        insert_above(viewer, source, part)
        return
    layers = viewer.layers
    there = [layer for layer in layers if _shows_same_part(layer, part)]
    earlier = [layer for layer in there if _is_result_of(layer, source)]
    for layer in earlier:
        part.blending = layer.blending
        layer.visible = False
    below = earlier or there
    if not below:
        below = [one for one in layers if one.visible and one.blending in _THROUGH]
        cover_below(part)
    _insert(viewer, layers.index(below[-1]) + 1 if below else len(layers), [part])


def _shows_same_part(layer: Layer, part: Layer) -> bool:
    entry = layer.metadata.get(KEY)
    if not (isinstance(entry, dict) and "source" in entry):  # no result
        return False
    if not layer.visible or layer.ndim != part.ndim:
        return False
    # the middles of the first pixels of other factors differ by less than half a pixel
    pixel = np.maximum(layer.extent.step, part.extent.step)
    difference = np.abs(layer.extent.world - part.extent.world)
    return bool((difference < pixel / 2).all())


def hide_below(viewer: Viewer, source: Layer, result: Layer) -> None:
    """Hide an image, and earlier results of it, whose light would add to this result.

    Channels are shown so; their sources would double them, and blur them again.
    """
    # a comparison that goes on has hidden the result instead
    if result.blending not in _THROUGH or not result.visible:
        return
    for layer in viewer.layers:
        if layer is source or (layer is not result and _is_result_of(layer, source)):
            layer.visible = False


def cover_below(layer: Layer) -> None:
    """Let a layer that is shown for a while cover the image that it is made from."""
    if layer.blending in _THROUGH:
        layer.blending = "translucent_no_depth"


def _is_result_of(layer: Layer, source: Layer) -> bool:
    entry = layer.metadata.get(KEY)
    return isinstance(entry, dict) and entry.get("source") == source.name


def find_placement(
    layer: Layer, origin: Sequence[float] | npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Return how a layer lies in the world, with another of its pixels as the first.

    The five settings of napari that place a layer, for one of the same dimensions;
    `origin` has one number for each of them.
    """
    own = {
        key: np.array(getattr(layer, key))
        for key in ("scale", "rotate", "shear", "translate")
    }
    # napari applies translate after scale, rotate and shear, so that it moves along
    translate = Affine(**own)(np.array(origin, float))
    return own | {"translate": translate, "affine": np.array(layer.affine)}


def make_levels(
    pixels: npt.NDArray[Any] | Path | list[Any], names: str, *, many: bool
) -> dict[str, Any]:
    """Return the arguments with which an `Image` shows pixels, in levels if need be.

    Pixels are an array with the axes t, c, z, y, x, s as far as present, the path of an
    OME-Zarr store, whose levels are opened lazily, or levels with the axes of the
    layer. `names` are these, a letter for each dimension; an array gets `many` levels
    until they fit a canvas.
    """
    if isinstance(pixels, list):
        return {"data": pixels, "multiscale": True}
    canonical = "".join(name for name in "tczyxs" if name in names)
    if isinstance(pixels, Path):
        if "s" in names:
            # a store keeps the samples of a colour pixel as channels, after t
            canonical = canonical.replace("s", "").replace("t", "ts")
            canonical = canonical if "s" in canonical else f"s{canonical}"
        group = zarr.open_group(pixels, mode="r")
        ome: Any = group.attrs["ome"]
        # through dask: of a bare zarr array napari would read fifty times as much
        levels = [
            da.from_zarr(group[level["path"]])  # type: ignore[no-untyped-call]
            for level in ome["multiscales"][0]["datasets"]
        ]
    else:
        levels = [pixels]
    levels = [level.transpose([canonical.index(n) for n in names]) for level in levels]
    if many and not isinstance(pixels, Path):
        spatial = [names.index("y"), names.index("x")]
        halved = tuple(slice(None, None, 2 if name in "yx" else 1) for name in names)
        while max(levels[-1].shape[n] for n in spatial) > _SMALLEST:
            # a view: nothing is averaged or copied
            levels.append(levels[-1][halved])
    multiscale = len(levels) > 1
    return {"data": levels if multiscale else levels[0], "multiscale": multiscale}
