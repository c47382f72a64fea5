"""Opening files in napari: calibrated, lazily, with the names and colours they give.

A file becomes one layer for each of its channels, placed and sized as the file says,
in as many resolutions as it holds. What the file says is noted in the layer, so that a
run and a copied command work on the same image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from napari.utils.notifications import show_info, show_warning
from napari_builtins.io import napari_get_reader

from napari_structsr.core.axes import Axes, Channel, ImageSpec
from napari_structsr.errors import AxesError, PixelError, StructsrError
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.io.layer_file import FILE, KEY, LayerFile
from napari_structsr.io.ome_zarr.plate import is_plate
from napari_structsr.io.ome_zarr.plate_mosaic import PlateMosaic
from napari_structsr.io.open import list_names, open_source
from napari_structsr.io.plane_array import make_dask_array
from napari_structsr.io.records import read_record
from napari_structsr.io.remote.place import find_place
from napari_structsr.io.source import Source
from napari_structsr.io.views import OneChannelView

LayerDataTuple = tuple[Any, dict[str, Any], str]

# of channels without a colour, where there are several: as OME-Zarr is written
_COLORS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_MOST = 24  # images of a file that become layers
_TOGETHER = 7  # channels that are shown at once, as in ImageJ
_SEEN = 1024  # pixels along a side that are looked at for contrast limits


def get_reader(path: str | list[str]) -> Callable[[Any], list[LayerDataTuple]] | None:
    """Return what reads a file or folder; None for what is not read here.

    Parameters
    ----------
    path
        A single one, or an address; lists are left to other readers.
    """
    return read_layers if isinstance(path, str) else None


def read_layers(path: str) -> list[LayerDataTuple]:
    """Return the layers of a file.

    Of several images the first is visible; a plate is shown by the first field of each
    well. What has another meaning than intensities, such as a mask, is left to napari.

    Raises
    ------
    SourceError
        If it holds no image that is read.
    """
    try:
        if is_plate(path):
            return list(_make_layers(_Plate(path), {}))
        return list(_read_images(path))
    # what is damaged or a danger is refused, and stays refused
    except (AxesError, PixelError) as error:
        read = napari_get_reader(path)
        if read is None or Path(path).suffix.lower() not in (".tif", ".tiff"):
            raise
        text = f"{error}; napari's own reader has opened it, without pixel size"
        show_warning(keep_plain(text))
        layers: list[LayerDataTuple] = read(path)
        return layers


def _read_images(path: str) -> Iterator[LayerDataTuple]:
    names = list_names(path)
    if len(names) == 1:
        yield from _make_layers(_File(path), _read_record(path))
        return
    if len(names) > _MOST:
        show_warning(
            f"{keep_plain(path)} holds {len(names)} images, and the first {_MOST} are "
            "shown; structsr info lists all of them"
        )
    for number in range(min(len(names), _MOST)):
        for data, meta, kind in _make_layers(_File(path, {"series": number}), {}):
            # they are of other places, and would hide each other
            seen = number == 0 and meta.get("visible", True)
            yield data, {**meta, "visible": seen}, kind


class _File:
    """An image of a file, which can be opened again by channel and level."""

    def __init__(self, path: str, options: Mapping[str, Any] | None = None) -> None:
        self.path, self.options = path, dict(options or {})

    def open(self, **options: Any) -> Source:
        return open_source(self.path, **self.options, **options)


class _Plate(_File):
    def open(self, **options: Any) -> Source:
        mosaic = PlateMosaic(find_place(self.path), level=options.get("level", 0))
        channel = options.get("channel")
        return mosaic if channel is None else OneChannelView(mosaic, channel)


def _make_layers(file: _File, record: dict[str, Any]) -> Iterator[LayerDataTuple]:
    """Yield a layer for each channel of an image."""
    whole = file.open()
    axes, channels = whole.spec.axes, whole.spec.channels
    count, levels = axes["c"].size if "c" in axes else 1, getattr(whole, "levels", 1)
    if count == 1:
        color = (*channels, Channel())[0].color or "FFFFFF"
        yield _make_layer(file, {}, color, levels, record)
        return
    if count > _TOGETHER and not any(channel.name for channel in channels):
        # often planes over time or depth that a program has counted as channels
        show_info(
            f"{keep_plain(whole.spec.name)} holds {count} channels without names, "
            "which are shown one at a time, along c. If they are times or depths, "
            "write t or z instead of c under Axes"
        )
        yield _make_layer(file, {}, "FFFFFF", levels, record)
        return
    channels = channels or (Channel(),) * count
    colors = itertools.cycle(_COLORS)
    for number, (channel, color) in enumerate(zip(channels, colors, strict=False)):
        chosen, color = {"channel": number}, channel.color or color
        data, meta, kind = _make_layer(file, chosen, color, levels, record)
        # light adds up, and the lowest layer hides what lies behind
        yield (
            data,
            {**meta, "blending": "additive", "visible": number < _TOGETHER},
            kind,
        )


def _make_layer(
    file: _File, options: dict[str, Any], color: str, count: int, record: dict[str, Any]
) -> LayerDataTuple:
    sources = [file.open(**options, level=level) for level in range(count)]
    spec = sources[0].spec
    levels = [make_dask_array(source) for source in sources]
    window = _find_window(spec, levels[-1])
    metadata = dict(record)
    if not isinstance(file, _Plate):  # which nothing opens as one image again
        metadata[FILE] = LayerFile(
            file.path,
            spec,
            {**file.options, **options},
            array=levels[0].name,
            window=window,
            color=color,
        )
    meta = {
        "name": spec.name,
        "multiscale": count > 1,
        "rgb": "s" in spec.axes,
        "metadata": {KEY: metadata},
        **place_axes(spec.axes),
    }
    if "s" not in spec.axes:
        meta |= {"contrast_limits": window, "colormap": f"#{color}"}
    return levels if count > 1 else levels[0], meta, "image"


def place_axes(axes: Axes) -> dict[str, Any]:
    """Return the arguments with which a layer has these axes."""
    # napari counts no axis for the colours of a pixel
    items = [axis for axis in axes.items if axis.name != "s"]
    return {
        "scale": [axis.scale for axis in items],
        "translate": [axis.translate for axis in items],
        "units": [axis.unit or "pixel" for axis in items],
        "axis_labels": [axis.name for axis in items],
    }


def _find_window(spec: ImageSpec, coarsest: da.Array) -> tuple[float, float]:
    """Return contrast limits: those of the file, or what the middle of it holds."""
    if spec.channels and (window := spec.channels[0].window) is not None:
        return window
    if spec.dtype == np.uint8:
        return 0.0, 255.0
    middle = tuple(
        slice(max(0, size // 2 - _SEEN // 2), size // 2 + _SEEN // 2)
        if name in "yx"
        else size // 2
        for name, size in zip(spec.axes.names, coarsest.shape, strict=True)
    )
    seen = np.asarray(coarsest[middle])
    seen = seen[np.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    return (low, high) if low < high else (low, low + 1)


def _read_record(path: str) -> dict[str, Any]:
    """Return what a layer keeps of how a result was made; nothing for other files."""
    try:
        _, record = read_record(path)
    except (StructsrError, OSError):
        # whoever opens the image says what is wrong with it
        return {}
    if record is None:
        return {}
    return {"source": record.source.get("name"), "record": record.to_json()}
