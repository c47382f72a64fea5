"""Writing a source as OME-Zarr, pixels unchanged, with pyramid.

It fills the same chunk store as a run does, but the result is the image itself and
holds no record.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from napari_structsr.errors import SinkError
from napari_structsr.io.atomic import create_beside
from napari_structsr.io.locks import lock_output
from napari_structsr.io.ome_zarr.chunk_store import ChunkStore
from napari_structsr.io.ome_zarr.disk import translate_os_errors
from napari_structsr.io.ome_zarr.layout import (
    create_arrays,
    make_write_grid,
    write_attributes,
)
from napari_structsr.io.ome_zarr.metadata import make_attributes
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.source import Source


def write_image(
    source: Source,
    path: Path,
    *,
    overwrite: bool = False,
    version: Literal["0.4", "0.5"] = "0.5",
) -> Path:
    """Write an image as OME-Zarr, plane by plane; it appears once it is whole.

    Parameters
    ----------
    source
        Image of any size.
    path, overwrite, version
        As in `OmeZarrSink`.

    Raises
    ------
    SinkError
        If something is in the way, or space or permission is short.
    """
    sink = OmeZarrSink(path, overwrite=overwrite, version=version)
    spec = source.spec.upscale(1)
    sink.check(spec)
    # what passes the check is an unfinished run, which is not ours
    if sink.path.exists() and not overwrite:
        raise SinkError(
            f"{sink.path} is the unfinished result of a run; choose another name"
        )
    layout = sink.layout(spec)
    with (
        translate_os_errors(sink.path),
        lock_output(sink.path),
        create_beside(sink.path) as new,
    ):
        create_arrays(new, layout, {})
        store = ChunkStore(new, layout)
        for tile in make_write_grid(spec.axes, sink.unit(spec)):
            store.write(tile, source.read(tile.plane, *tile.read))
        for calls in store.passes():
            for call in calls:
                call()
        store.journal.remove()
        attributes = make_attributes(spec, layout.levels, version=version)
        write_attributes(new, layout.zarr_format, attributes)
    return sink.path
