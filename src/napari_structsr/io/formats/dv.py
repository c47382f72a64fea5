"""DV files of DeltaVision microscopes, through the library mrc; pixels are mapped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from napari_structsr.core.axes import Channel
from napari_structsr.core.optics import read_optics
from napari_structsr.io.arrays import check_level, make_spec
from napari_structsr.io.fingerprint import WatchedFiles
from napari_structsr.io.formats.frames import InstrumentSource, name_dimensions
from napari_structsr.io.formats.image_list import find_image
from napari_structsr.io.formats.libraries import explain_missing
from napari_structsr.io.units import Step, is_pixel_size, make_axes

# such as "Olympus 100X/1.35, U Plan Apo, IX70"
_APERTURE = re.compile(r"\d+X/(\d\.\d+)", re.IGNORECASE)


def list_names(path: Path) -> tuple[str, ...]:
    """Return one name: such a file holds one image."""
    return ("0",)


def open_file(
    path: Path,
    *,
    axes: str | None,
    level: int,
    series: int | str | None,
    name: str | None,
) -> InstrumentSource:
    """Open a DV file; see `open_source`."""
    with explain_missing(path, kind="a DV file of DeltaVision"):
        import mrc
    find_image(("0",), series, origin=str(path))
    check_level(level, 1, origin=str(path))
    watch = WatchedFiles([path])
    file = mrc.DVFile(path)
    try:
        names = name_dimensions(list(file.sizes), file.shape, axes)
        sizes = zip("xyz", file.voxel_size, strict=True)
        steps = {
            axis: Step(float(size), unit="micrometer")
            for axis, size in sizes
            # 0 and 1 are what is written where nothing is known
            if is_pixel_size(size) and size > 0 and size != 1
        }
        spec = make_spec(
            name or path.stem,
            make_axes(names, file.shape, steps),
            file.dtype,
            _read_channels(file),
        )
        return InstrumentSource(
            file.data, spec, names=names, path=path, watch=watch, close=file.close
        )
    except BaseException:
        file.close()
        raise


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
