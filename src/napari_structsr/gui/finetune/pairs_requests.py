"""From layers and files to the pairs that are asked for; no pixel is read.

It owns how layers, shapes and dimensions of napari become planes and rectangles of the
engine. The main thread takes what it needs from the viewer as `PairRequest`s, from
which `pairing` makes pairs in a worker.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer, Shapes
from napari.viewer import Viewer

from napari_structsr.gui.finetune.pairs_choice import PairsState, TuneImage
from napari_structsr.gui.finetune.pairs_entry import Frame
from napari_structsr.gui.viewer.alignment import source_on
from napari_structsr.gui.viewer.layers import KEY, key_of, layer_obstacle
from napari_structsr.gui.viewer.navigation import unit_ratios
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source
from napari_structsr.pairs.files import file_stem, match_files

__all__ = [
    "PairRequest",
    "left_out",
    "region_counts",
    "requests_of",
    "tune_images",
]


@dataclass(frozen=True)
class PairRequest:
    """A pair that is asked for.

    Parameters
    ----------
    name
        For people.
    low, high
        Images; `low` is None where it is to be computed, both are where they are files
        that were not opened yet.
    region
        First and last + 1 row, first and last + 1 column in `low`, or in `high` where
        that is all there is; None for whole planes.
    plane
        Index along the looped axes; None takes the first plane.
    frame
        Where the plane lies in a layer; None for files.
    paths
        Files of the images, as far as they are files.
    factor
        2 or 4; None takes that of the pairs that there are, or the one that is nearest
        to the pixel sizes.
    psf_sigma, sample
        For `high` alone: blur in measured pixels, and an image whose noise is taken.
    """

    name: str
    low: Source | None
    high: Source | None
    region: tuple[int, int, int, int] | None = None
    plane: tuple[int, ...] | None = None
    frame: Frame | None = None
    paths: tuple[str | None, str | None] = (None, None)
    factor: int | None = None
    psf_sigma: float | None = None
    sample: Source | None = None

    def opened(self) -> PairRequest:
        """Open files; what is open stays as it is.

        Raises
        ------
        StructsrError
            If a file cannot be read.
        """
        low, high = self.paths
        if self.high is not None or high is None:
            return self
        return replace(
            self,
            low=None if low is None else open_source(low),
            high=open_source(high),
        )

    def same_as(self, other: PairRequest | None) -> bool:
        """Tell whether the same regions of the same images are asked for."""
        if other is None or self.frame is None or other.frame is None:
            return False
        mine, theirs = (
            (
                one.frame.layer,
                one.plane,
                one.region,
                one.high and one.high.origin,
                one.psf_sigma,
            )
            for one in (self, other)
            if one.frame is not None
        )
        return mine == theirs


def tune_images(viewer: Viewer) -> list[TuneImage]:
    """Say what is known of the images that can be part of a pair."""
    found = []
    for layer in viewer.layers:
        if layer.metadata.get(KEY) == "check" or layer_obstacle(layer) is not None:
            continue
        axes = open_source(layer).spec.axes
        planes = 1
        for axis in axes.loops:
            planes *= axis.size
        found.append(
            TuneImage(
                key=key_of(layer),
                name=layer.name,
                plane=axes.plane,
                pixel=(axes["y"].scale, axes["x"].scale),
                unit=axes["y"].unit,
                planes=planes,
                rgb=axes.samples > 1,
            )
        )
    return found


def left_out(viewer: Viewer) -> list[tuple[str, str]]:
    """Name image layers that cannot be part of a pair, and say why not."""
    return [
        (layer.name, why)
        for layer in viewer.layers
        if isinstance(layer, Image)
        and layer.metadata.get(KEY) is None
        and (why := layer_obstacle(layer)) is not None
    ]


def region_counts(viewer: Viewer) -> dict[str, tuple[str, int]]:
    """Return the name of each layer that can hold regions, and how many it holds."""
    return {
        key_of(layer): (layer.name, len(layer.data))
        for layer in viewer.layers
        if isinstance(layer, Shapes) and layer.metadata.get(KEY) in (None, "regions")
    }


def requests_of(
    viewer: Viewer, state: PairsState, *, taken: Collection[str] = ()
) -> list[PairRequest]:
    """Return the pairs that the user asks for.

    Parameters
    ----------
    viewer
        Where the layers are.
    state
        Of the form; its `add` is None.
    taken
        Names that pairs have already.

    Raises
    ------
    StructsrError
        If files do not belong together, or a layer is turned against the other.
    """
    choice = state.choice
    if choice.kind == "files":
        found = _file_requests(state)
    else:
        found = _layer_requests(viewer, state)
    names = set(taken)
    named = []
    for request in found:
        name, number = request.name, 1
        while name in names:
            number += 1
            name = f"{request.name} ({number})"
        names.add(name)
        named.append(replace(request, name=name))
    return named


def _layer_requests(viewer: Viewer, state: PairsState) -> list[PairRequest]:
    """Return a request for each region, or for the plane that is shown."""
    choice = state.choice
    layers: dict[str | None, Any] = {key_of(one): one for one in viewer.layers}
    alone = choice.kind == "high"
    high = layers[choice.high]
    drawn_on = high if alone else layers[choice.low]
    axes = open_source(drawn_on).spec.axes
    names = axes.names.replace("s", "")
    dims = names.index("y"), names.index("x")
    step = float((state.factor or 2) if alone else 1)
    paths = _path(None if alone else layers[choice.low]), _path(high)
    common = PairRequest(
        name=drawn_on.name,
        low=None if alone else open_source(drawn_on),
        high=open_source(high) if alone else source_on(drawn_on, high),
        paths=paths,
        factor=state.factor,
        psf_sigma=state.sigma,
        sample=None if choice.sample is None else open_source(layers[choice.sample]),
    )
    here = _position(viewer, drawn_on)
    shapes = layers.get(choice.regions)
    spans: list[tuple[tuple[int, ...], tuple[int, int, int, int] | None, str]] = []
    if shapes is None:
        spans.append((here, None, drawn_on.name))
    else:
        for number, corners in enumerate(_in_layer(shapes, drawn_on, here), 1):
            position = tuple(
                int(np.clip(round(float(middle)), 0, size - 1))
                for middle, size in zip(
                    corners.mean(axis=0), drawn_on.level_shapes[0], strict=False
                )
            )
            spans.append((position, _region(corners, dims), f"region {number}"))
    found = []
    for position, region, name in spans:
        plane = tuple(position[names.index(axis.name)] for axis in axes.loops)
        frame = Frame(key_of(drawn_on), position, dims, (0.0, 0.0), step)
        found.append(
            replace(common, name=name, region=region, plane=plane, frame=frame)
        )
    return found


def _region(
    corners: npt.NDArray[np.floating[Any]], dims: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the whole pixels nearest to a rectangle; they may lie outside."""
    ends = [np.rint(corners[:, dim] + 0.5).astype(int) for dim in dims]
    rows, columns = ends
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def _in_layer(
    shapes: Shapes, layer: Layer, here: tuple[int, ...]
) -> list[npt.NDArray[np.float64]]:
    """Return the corners of shapes in pixels of another layer.

    Dimensions that the shapes lack are those of the plane that is shown.
    """
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


def _position(viewer: Viewer, layer: Image) -> tuple[int, ...]:
    """Return the index of the viewer along the dimensions of a layer."""
    point = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    return tuple(
        int(np.clip(round(float(where)), 0, size - 1))
        for where, size in zip(point, layer.level_shapes[0], strict=False)
    )


def _path(layer: Layer | None) -> str | None:
    """Return the file that a layer was read from."""
    path = None if layer is None else layer.source.path
    return str(path) if path and Path(path).exists() else None


def _file_requests(state: PairsState) -> list[PairRequest]:
    """Return a request for each pair of files."""
    return [
        PairRequest(
            name=file_stem(low),
            low=None,
            high=None,
            paths=(str(low), str(high)),
            factor=state.factor,
        )
        for low, high in match_files(
            Path(state.choice.low_path), Path(state.choice.high_path)
        )
    ]
