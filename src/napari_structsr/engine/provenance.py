"""How a result was made and from what: what its record says, and finding it again."""

from __future__ import annotations

import glob
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from napari_structsr.core.record import Record
from napari_structsr.engine.statistics import list_samples
from napari_structsr.errors import StructsrError
from napari_structsr.io.open import open_source
from napari_structsr.io.records import read_record
from napari_structsr.io.remote.address import is_remote
from napari_structsr.io.source import Source


def describe_source(source: Source) -> dict[str, Any]:
    """Return what a record says of an image that was read."""
    spec = source.spec
    return {
        "origin": source.origin,
        "name": spec.name,
        "axes": spec.axes.names,
        "shape": list(spec.axes.shape),
        "dtype": str(spec.dtype),
        "options": dict(source.options),
    }


def take_fingerprint(source: Source) -> dict[str, Any]:
    """Return what tells an image from what may take its place.

    It goes by its files, from the first call on; by all pixels where they are in
    memory; and else by the samples of `hash_samples`, for a dask array or an image in
    a store that is no folder.
    """
    ask = getattr(source, "fingerprint", None)
    return (ask() if ask else None) or {"samples": hash_samples(source)}


def hash_samples(source: Source) -> str:
    """Return a hash of the samples that `measure_intensity` takes of every channel.

    Another image in the place of a file has another one; so has the same image after
    a change that reaches the samples, which are all of a plane of 576 pixels.
    """
    found = hashlib.sha256()
    axes = source.spec.axes
    for channel in range(axes["c"].size if "c" in axes else 1):
        for place in list_samples(source, channel):
            found.update(np.ascontiguousarray(source.read(*place)).tobytes())
    return found.hexdigest()


def find_record(result: Source) -> Record | None:
    """Read how a result was made, where its file says so."""
    try:
        record = read_record(result.origin)[1]
    except (StructsrError, OSError):
        return None
    return record if record is not None and record.task == "upscale" else None


def find_source(record: Record | None) -> tuple[Source | None, str | None]:
    """Open the image from which a result was made.

    It is None if the record names no file, or the file is no longer what it was; a
    sentence for the user then says what keeps it from being opened.
    """
    if record is None:
        return None, None
    origin: str = record.source["origin"]
    named = f"the image that the result was made from, {origin} by its record,"
    if is_remote(origin):
        # a record may come from a stranger: nobody is called because a file says so
        return (
            None,
            f"{named} is at a remote address; give it as source to be read",
        )
    if not Path(origin).is_absolute():
        return None, f"{named} was no file; give it as source"
    # a pattern such as "plane*.tif" is no path by itself
    if not Path(origin).exists() and not glob.has_magic(origin):
        remedy = "if it was moved, give it as source"
        return None, f"{named} is not there any more; {remedy}"
    try:
        found = open_source(origin, **record.source["options"])
    except (StructsrError, OSError) as error:
        return None, f"{named} cannot be opened: {error}"
    # another image of that name, or the same one read otherwise
    axes, then = found.spec.axes, record.source
    if (axes.names, axes.shape) != (then["axes"], tuple(then["shape"])):
        return None, (
            f"{named} has changed: it had the axes {then['axes']} of shape "
            f"{tuple(then['shape'])}, now {axes.names} of {axes.shape}; give the image "
            "as it was as source"
        )
    return found, None
