"""DV files of DeltaVision microscopes, through the library mrc; pixels are mapped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from napari_structsr.core.axes import Channel
from napari_structsr.core.optics import read_optics
from napari_structsr.io.formats.instrument_source import (
    FileImage,
    FileImages,
    InstrumentSource,
    open_instrument,
)
from napari_structsr.io.formats.libraries import explain_missing
from napari_structsr.io.units import Step, is_pixel_size

# such as "Olympus 100X/1.35, U Plan Apo, IX70"
_APERTURE = re.compile(r"\d+X/(\d\.\d+)", re.IGNORECASE)


def list_names(path: Path) -> tuple[str, ...]:
    """Return one name: such a file holds one image."""
    return ("0",)


def open_file(path: Path, **options: Any) -> InstrumentSource:
    """Open a DV file; see `open_source`."""
    return open_instrument(path, _open, _find_images, **options)


def _open(path: Path) -> Any:
    with explain_missing(path, kind="a DV file of DeltaVision"):
        import mrc
    return mrc.DVFile(path)


def _find_images(file: Any, path: Path) -> FileImages:
    def read(_: int) -> FileImage:
        sizes = zip("xyz", file.voxel_size, strict=True)
        steps = {
            axis: Step(float(size), unit="micrometer")
            for axis, size in sizes
            # 0 and 1 are what is written where nothing is known
            if is_pixel_size(size) and size > 0 and size != 1
        }
        return FileImage(file.data, list(file.sizes), steps, _read_channels(file))

    return FileImages(list_names(path), read)


def _read_channels(file: Any) -> list[Channel]:
    header = file.hdr
    found = _APERTURE.search(file.lens or "")
    aperture = float(found[1]) if found else 0.0
    # five at most have a wavelength of their own, in nanometres
    waves = [getattr(header, f"wave{n}", 0) for n in range(1, header.nc + 1)]
    return [
        Channel(f"{wave} nm" if wave else "", optics=read_optics(aperture, wave / 1000))
        for wave in waves
    ]
