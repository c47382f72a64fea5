"""Which files of two folders make pairs, by their names."""

from __future__ import annotations

from pathlib import Path

from napari_structsr.errors import TrainingError
from napari_structsr.io.ome_zarr.metadata import is_zarr

_ENDINGS = (".tif", ".tiff", ".zarr")


def match_files(low: Path, high: Path) -> list[tuple[Path, Path]]:
    """Match two files, or those of two folders.

    Files belong together by name without ending, or else, if there are as many, by the
    order of their names.

    Raises
    ------
    TrainingError
        Naming those without a partner.
    """
    if not low.is_dir() and not high.is_dir():
        return [(low, high)]
    lows, highs = _list_images(low), _list_images(high)
    names = set(lows), set(highs)
    if names[0] == names[1]:
        return [(lows[name], highs[name]) for name in lows]
    # with some names in common, the order would pair wrong files
    if len(lows) == len(highs) and not names[0] & names[1]:
        return list(zip(lows.values(), highs.values(), strict=True))
    alone = sorted(names[0] ^ names[1])
    raise TrainingError(
        f"there are {len(lows)} low- and {len(highs)} high-resolution images, and some "
        f"have no partner: {', '.join(alone[:5])}{', …' * (len(alone) > 5)}; give "
        "images that belong together the same name"
    )


def file_stem(path: Path) -> str:
    """Return the name of an image without its ending; other dots are part of it."""
    name = path.name
    if path.suffix.lower() in _ENDINGS:
        name = path.stem
        # as in name.ome.tif; other dots belong to the name
        if name.lower().endswith(".ome"):
            name = Path(name).stem
    return name


def _list_images(path: Path) -> dict[str, Path]:
    """Return a file, or the images in a folder, by name."""
    # a zarr is a folder too, but one image
    if path.is_file() or path.suffix == ".zarr" or is_zarr(path):
        return {file_stem(path): path}
    if not path.is_dir():
        raise TrainingError(f"{path} does not exist; give a file or folder of images")
    # by name, as the order decides where names of partners differ
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _ENDINGS)
    if not found:
        raise TrainingError(f"there is no image in {path}; TIFF and OME-Zarr are read")
    named = {file_stem(file): file for file in found}
    if len(named) < len(found):
        twins = [file.name for file in found if named[file_stem(file)] != file]
        raise TrainingError(
            f"{twins[0]} and {named[file_stem(path / twins[0])].name} in {path} have "
            "one name but for the ending; rename or remove one of them"
        )
    return named
