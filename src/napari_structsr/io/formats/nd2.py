"""ND2 files of Nikon, through the library nd2.

Stage positions are images of their own. Frames hold all channels of a plane.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_structsr.core.axes import Channel
from napari_structsr.core.optics import read_optics
from napari_structsr.core.types import Array
from napari_structsr.io.formats.frames import FrameArray
from napari_structsr.io.formats.image_list import name_images
from napari_structsr.io.formats.instrument_source import (
    FileImage,
    FileImages,
    InstrumentSource,
    open_instrument,
)
from napari_structsr.io.formats.libraries import explain_missing
from napari_structsr.io.units import Step, is_pixel_size

_POSITION = "P"
_IN_FRAME = "CYXS"


def list_names(path: Path) -> tuple[str, ...]:
    """Return the names of all stage positions; see `ImageEntry`."""
    with _open(path) as file:
        return _name_positions(file)


def open_file(path: Path, **options: Any) -> InstrumentSource:
    """Open one stage position of an ND2 file; see `open_source`."""
    return open_instrument(path, _open, _find_images, **options)


def _open(path: Path) -> Any:
    with explain_missing(path, kind="an ND2 file of Nikon"):
        import nd2
    return nd2.ND2File(path)


def _find_images(file: Any, path: Path) -> FileImages:
    def read(number: int) -> FileImage:
        loops = {key: n for key, n in file.sizes.items() if key not in _IN_FRAME}
        frame = {key: n for key, n in file.sizes.items() if key in _IN_FRAME}
        array = FrameArray(
            [size for key, size in loops.items() if key != _POSITION],
            list(frame.values()),
            file.dtype,
            partial(_read_frame, file, loops, tuple(frame.values()), number),
            origin=str(path),
        )
        labels = [key for key in (*loops, *frame) if key != _POSITION]
        return FileImage(array, labels, read_steps(file), read_channels(file))

    return FileImages(_name_positions(file), read)


def _read_frame(
    file: Any,
    loops: Mapping[str, int],
    frame: tuple[int, ...],
    position: int,
    place: tuple[int, ...],
) -> Array:
    """Return a frame in the shape of `frame`, by its place along the other loops."""
    counted = iter(place)
    index = [position if key == _POSITION else next(counted) for key in loops]
    number = int(np.ravel_multi_index(index, tuple(loops.values()))) if index else 0
    # the library drops dimensions of one entry
    return np.asarray(file.read_frame(number)).reshape(frame)


def _name_positions(file: Any) -> tuple[str, ...]:
    count = file.sizes.get(_POSITION, 1)
    for loop in file.experiment or ():
        if loop.type == "XYPosLoop":
            points = [point.name for point in loop.parameters.points]
            if len(points) == count and count > 1:
                return name_images(points)
    return name_images([None] * count)


def read_steps(file: Any) -> dict[str, Step]:
    """Return distances by axis, from an open file of the library."""
    steps = {}
    channels = file.metadata.channels if file.metadata else None
    known = channels[0].volume.axesCalibrated if channels else (False,) * 3
    for axis, size, calibrated in zip("xyz", file.voxel_size(), known, strict=True):
        # 1 is what the library says where the file says nothing
        if calibrated and is_pixel_size(size):
            steps[axis] = Step(float(size), unit="micrometer")
    for loop in file.experiment or ():
        if loop.type in ("TimeLoop", "NETimeLoop"):
            found = _read_interval(loop.parameters)
            if found:
                steps["t"] = Step(found / 1000, unit="second")
    return steps


def _read_interval(parameters: Any) -> float:
    """Return the milliseconds between frames, as measured or as planned; else 0."""
    # several phases of a time series have intervals of their own
    phases = getattr(parameters, "periods", None) or [parameters]
    if len(phases) > 1:
        return 0.0
    measured = getattr(phases[0].periodDiff, "avg", 0.0)
    for value in (measured, phases[0].periodMs):
        if value and math.isfinite(value) and value > 0:
            return float(value)
    return 0.0


def read_channels(file: Any) -> list[Channel]:
    """Return channels with their optics, from an open file of the library."""
    found = []
    for entry in (file.metadata.channels if file.metadata else None) or ():
        about, scope = entry.channel, entry.microscope
        color = about.color
        digits = f"{color.r:02X}{color.g:02X}{color.b:02X}" if color else None
        emission = (about.emissionLambdaNm or 0) / 1000
        flags = " ".join(scope.modalityFlags or ()).lower()
        optics = read_optics(
            scope.objectiveNumericalAperture, emission, confocal="confocal" in flags
        )
        found.append(Channel(about.name or "", digits, optics=optics))
    return found
