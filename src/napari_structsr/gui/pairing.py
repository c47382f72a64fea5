"""From layers and files to pairs: what is asked for, and the job that makes them.

The main thread takes what it needs from the viewer as `PairRequest`s; pixels are read
and images registered in a worker. A pair that is refused is an answer like another,
and does not end the job. It owns how layers, shapes and dimensions of napari become
planes and rectangles of the engine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer, Shapes
from napari.viewer import Viewer

from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Progressed,
    Started,
)
from napari_structsr.errors import SourceError, StructsrError
from napari_structsr.gui.error_runs import key_of
from napari_structsr.gui.layers import KEY, why_not
from napari_structsr.gui.pair_entry import Frame, PairEntry
from napari_structsr.gui.pairs_state import PairsChoice, PairsState, TuneImage
from napari_structsr.gui.places import unit_shares
from napari_structsr.io.source import Source, open_source

__all__ = [
    "PairRequest",
    "pairing_events",
    "region_counts",
    "requests_of",
    "tune_images",
]

_ENDINGS = (".tif", ".tiff", ".zarr")


@dataclass(frozen=True)
class PairRequest:
    """A pair that is asked for.

    Parameters
    ----------
    name
        For people.
    low, high
        Images; `low` is None where it is to be computed.
    region
        First and last + 1 row, first and last + 1 column in `low`, or in `high` where
        that is all there is; None for whole planes.
    plane
        Index along the looped axes; None takes the first plane.
    frame
        Where the plane lies in a layer; None for files.
    paths
        Files of the images, as far as they are files.
    factor, psf_sigma, sample
        For `high` alone: pixels, blur in measured pixels, and an image whose noise is
        taken.
    """

    name: str
    low: Source | None
    high: Source
    region: tuple[int, int, int, int] | None = None
    plane: tuple[int, ...] | None = None
    frame: Frame | None = None
    paths: tuple[str | None, str | None] = (None, None)
    factor: int = 2
    psf_sigma: float | None = None
    sample: Source | None = None

    def same_as(self, other: PairRequest | None) -> bool:
        """Tell whether the same regions of the same images are asked for."""
        if other is None or self.frame is None or other.frame is None:
            return False
        mine, theirs = (
            (one.frame.layer, one.plane, one.region, one.high.origin, one.psf_sigma)
            for one in (self, other)
            if one.frame is not None
        )
        return mine == theirs


@dataclass(frozen=True)
class _Outline:
    """What the job is going to do."""

    pairs: int
    done: int = 0

    def __str__(self) -> str:
        return f"{self.pairs} {'pair' if self.pairs == 1 else 'pairs'}"


def tune_images(viewer: Viewer) -> list[TuneImage]:
    """Say what is known of the images that can be part of a pair."""
    found = []
    for layer in viewer.layers:
        if layer.metadata.get(KEY) == "check" or why_not(layer) is not None:
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
        If files cannot be opened or do not belong together.
    """
    choice = state.choice
    if choice.kind == "files":
        found = _file_requests(choice)
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


def pairing_events(
    requests: Sequence[PairRequest],
    there: Sequence[PairEntry],
    *,
    cancel: Cancel,
) -> Iterator[Event]:
    """Make pairs; torch is imported here, in the worker.

    Parameters
    ----------
    requests
        What is asked for.
    there
        Pairs that were made before.

    Yields
    ------
    Event
        The output of `Finished` is a list of `PairEntry`, refused ones included.
    """
    yield Started(len(requests), _Outline(len(requests)))
    made: list[PairEntry] = []
    for number, request in enumerate(requests):
        if cancel:
            yield Cancelled(number)
            return
        made.append(_entry(request, [*there, *made]))
        yield Progressed(number + 1, len(requests), "pairs")
    yield Finished(made)


def _entry(request: PairRequest, there: Sequence[PairEntry]) -> PairEntry:
    """Make one pair, or say why not."""
    from napari_structsr.training.field_pairs import field_pair, high_only_pair
    from napari_structsr.training.pair_checks import twin_of

    axes = (request.low or request.high).spec.axes
    entry = PairEntry(
        name=request.name, frame=request.frame, request=request, unit=axes["y"].unit
    )
    try:
        if request.low is None:
            pair = high_only_pair(
                request.high,
                factor=request.factor,
                region=request.region,
                plane=request.plane,
                name=request.name,
                psf_sigma=request.psf_sigma,
                sample=request.sample,
            )
        else:
            pair = field_pair(
                request.low,
                request.high,
                region=request.region,
                plane=request.plane,
                name=request.name,
            )
    except StructsrError as error:
        return replace(entry, refused=str(error))
    twin = twin_of(pair, [one.pair for one in there if one.pair is not None])
    if twin is not None:
        return replace(
            entry, refused=f"it holds the same pixels as {twin}; draw another region"
        )
    frame = request.frame
    if frame is not None:
        y, x = (
            (edge - axes[name].translate) / axes[name].scale + 0.5
            for name, edge in zip("yx", pair.where.origin, strict=True)
        )
        frame = replace(frame, first=(y, x))
    return replace(entry, pair=pair, frame=frame)


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
    step = float(choice.factor if alone else 1)
    paths = _path(None if alone else layers[choice.low]), _path(high)
    common = PairRequest(
        name=drawn_on.name,
        low=None if alone else open_source(layers[choice.low]),
        high=open_source(high),
        paths=paths,
        factor=choice.factor,
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
    shares = unit_shares(shapes.units[-count:], layer.units[-count:])
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


def _file_requests(choice: PairsChoice) -> list[PairRequest]:
    """Return a request for each pair of files."""
    lows, highs = (_files(Path(text)) for text in (choice.low_path, choice.high_path))
    return [
        PairRequest(
            name=_stem(low),
            low=open_source(low),
            high=open_source(high),
            paths=(str(low), str(high)),
        )
        for low, high in _matched(lows, highs)
    ]


def _matched(
    lows: Sequence[Path], highs: Sequence[Path]
) -> Iterable[tuple[Path, Path]]:
    """Match files by name without ending, else by order if there are as many."""
    by_name = [{_stem(file): file for file in files} for files in (lows, highs)]
    names = [set(files) for files in by_name]
    if names[0] == names[1]:
        return [(by_name[0][name], by_name[1][name]) for name in by_name[0]]
    if len(lows) == len(highs) and not names[0] & names[1]:
        return zip(lows, highs, strict=True)
    alone = sorted(names[0] ^ names[1])
    raise SourceError(
        f"there are {len(lows)} low- and {len(highs)} high-resolution images, and some "
        f"have no partner: {', '.join(alone[:5])}{', …' * (len(alone) > 5)}; give "
        "images that belong together the same name"
    )


def _stem(path: Path) -> str:
    """Return the name of a file without any ending."""
    return path.name.split(".")[0]


def _files(path: Path) -> list[Path]:
    """Return a file, or the images in a folder, by name."""
    if path.is_file() or path.suffix == ".zarr" or (path / "zarr.json").exists():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _ENDINGS)
    if not found:
        raise SourceError(f"there is no image in {path}; TIFF and OME-Zarr are read")
    return found
