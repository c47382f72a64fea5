"""Files of instruments, read here and by the library that knows each kind best.

Opens every image below a folder, compares axes, pixel size and channels, and every
pixel of the first image, with tifffile, czifile, nd2, liffile, zarr or Pillow, and with
the layers that the reader of napari makes, and prints a table in Markdown::

    python -m benchmarks.formats FOLDER
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_structsr.errors import StructsrError
from napari_structsr.io.open import list_names, open_source
from napari_structsr.io.source import Source

HEAD = (
    "| file | images | axes | pixel size | channels | same as | pixels | in napari |",
    "|---|--:|---|---|---|---|---|---|",
)


def main() -> None:
    """Print the table of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--axes", default="yx", help="of lines, which are no image")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("\n".join(HEAD))
    for path in find_files(given.folder):
        print(make_row(path, given.folder, axes=given.axes))


def find_files(folder: Path) -> Iterator[Path]:
    """Yield files and zarrs below a folder, in order."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".zarr" or path.is_file():
            if path.suffix != ".md":
                yield path
        elif path.is_dir():
            yield from find_files(path)


def make_row(path: Path, folder: Path, *, axes: str) -> str:
    """Return the row of one file."""
    name = path.relative_to(folder).as_posix()
    try:
        names = list_names(str(path))
        try:
            source = open_source(path)
        except StructsrError as error:
            print(f"<!-- {name}: {error} -->")
            source = open_source(path, axes=axes)
            name += f" `--axes {axes}`"
    except StructsrError as error:
        words = str(error).replace(str(path), path.name).partition(";")[0]
        return f"| {name} | | refused: {words} | | | | | |"
    spec = source.spec
    sizes = " x ".join(map(str, spec.axes.shape))
    channels = ", ".join(channel.name for channel in spec.channels if channel.name)
    pixels = read_whole(source)
    same = []
    oracle = ""
    if (found := read_oracle(path)) is not None:
        oracle, expected, step = found
        alike = expected.squeeze().shape == pixels.shape
        equal = alike and np.array_equal(expected.squeeze(), pixels)
        same.append("equal" if equal else f"DIFFER {expected.shape} {pixels.shape}")
        if step is not None and not np.isclose(step, spec.axes["x"].scale):
            same.append(f"pixel size {step} there")
    return (
        f"| {name} | {len(names)} | {spec.axes.names} {sizes} {spec.dtype} | "
        f"{describe_sizes(source)} | {channels} | {oracle} | {', '.join(same)} | "
        f"{describe_layers(path, source)} |"
    )


def describe_sizes(source: Source) -> str:
    """Return the distances between pixels with their units."""
    steps = [source.spec.axes[name] for name in "tzyx" if name in source.spec.axes]
    known = [f"{axis.name} {axis.scale:.4g} {axis.unit}" for axis in steps if axis.unit]
    return ", ".join(known)


def describe_layers(path: Path, source: Source) -> str:
    """Say how many layers napari shows of the first image, and whether they are it."""
    from napari_structsr.gui.reader import read_layers
    from napari_structsr.io.ome_zarr.plate import is_plate

    try:
        layers = read_layers(str(path))
    except StructsrError as error:
        return f"refused: {error}"
    axes = source.spec.axes
    count = axes["c"].size if "c" in axes else 1
    found = [f"{count} layer{'s' * (count != 1)}"]
    for channel, (data, settings, _) in enumerate(layers[:count]):
        if is_plate(path):
            # its fields lie beside each other; a test compares their pixels
            found.append("a mosaic of fields")
            break
        one = open_source(source, channel=channel) if count > 1 else source
        finest = data[0] if settings.get("multiscale", isinstance(data, list)) else data
        if not np.array_equal(np.asarray(finest).squeeze(), read_whole(one)):
            found.append(f"channel {channel} DIFFERS")
        names = one.spec.axes.names.replace("s", "")
        steps = [one.spec.axes[name].scale for name in names]
        if not np.allclose(settings["scale"], steps):
            found.append(f"scale {settings['scale']}")
        if tuple(settings["axis_labels"]) != tuple(names):
            found.append(f"axes {settings['axis_labels']}")
    return ", ".join(found if found[1:] else [*found, "equal"])


def read_whole(source: Source) -> np.ndarray:
    """Return all pixels in the order of the file."""
    axes = source.spec.axes
    rows, columns = (slice(0, size) for size in axes.plane)
    loops = [axis.name for axis in axes.loops]
    planes = np.stack([source.read(one, rows, columns) for one in axes.planes()])
    whole = planes.reshape(*(axis.size for axis in axes.loops), *planes.shape[1:])
    stored = [*loops, "s", "y", "x"]
    if "s" not in axes:
        whole = whole.squeeze(len(loops))
        stored.remove("s")
    ordered = whole.transpose([stored.index(name) for name in axes.names])
    found: np.ndarray = ordered.squeeze()
    return found


def read_oracle(path: Path) -> tuple[str, np.ndarray, float | None] | None:
    """Return who else reads it, its pixels, and micrometres along x where it says."""
    if path.suffix == ".czi":
        import czifile

        with czifile.CziFile(str(path)) as file:
            return "czifile", np.asarray(file.asarray()), None
    if path.suffix == ".nd2":
        import nd2

        with nd2.ND2File(path) as file:
            return "nd2", file.asarray(), file.voxel_size().x
    if path.suffix == ".dv":
        import mrc

        with mrc.DVFile(path) as file:
            return "mrc", file.asarray(), file.voxel_size.x
    if path.suffix == ".lif":
        import liffile

        with liffile.LifFile(path) as file:
            return "liffile", file.images[0].asarray(), None
    if path.suffix == ".zarr":
        return read_zarr(path)
    if path.suffix in (".png", ".jpg"):
        from PIL import Image

        return "Pillow", np.asarray(Image.open(path)), None
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        lsm: Any = tiff.lsm_metadata or {}
        step = 1e6 * lsm["VoxelSizeX"] if "VoxelSizeX" in lsm else None
        return "tifffile", tiff.series[0].asarray(), step


def read_zarr(path: Path) -> tuple[str, np.ndarray, float | None]:
    """Return the first image of a plate, or an image, as ngio reads it."""
    import ngio
    import zarr

    if "plate" in dict(zarr.open_group(path, mode="r").attrs):
        plate = ngio.open_ome_zarr_plate(path, mode="r")
        image = plate.get_images()[next(iter(list_names(str(path))))].get_image()
    else:
        image = ngio.open_ome_zarr_container(path, mode="r").get_image()
    return "ngio", image.get_as_numpy(), image.pixel_size.x


if __name__ == "__main__":
    main()
