"""Which files of two folders belong together."""

from __future__ import annotations

from pathlib import Path

from napari_structsr.errors import SourceError

__all__ = ["file_stem", "matched_files"]

_ENDINGS = (".tif", ".tiff", ".zarr")


def matched_files(low: Path, high: Path) -> list[tuple[Path, Path]]:
    """Match two files, or those of two folders.

    Files belong together by name without ending, or else, if there are as many, by the
    order of their names.

    Raises
    ------
    SourceError
        Naming those without a partner.
    """
    lows, highs = _files(low), _files(high)
    by_name = [{file_stem(file): file for file in files} for files in (lows, highs)]
    names = [set(files) for files in by_name]
    if names[0] == names[1]:
        return [(by_name[0][name], by_name[1][name]) for name in by_name[0]]
    if len(lows) == len(highs) and not names[0] & names[1]:
        return list(zip(lows, highs, strict=True))
    alone = sorted(names[0] ^ names[1])
    raise SourceError(
        f"there are {len(lows)} low- and {len(highs)} high-resolution images, and some "
        f"have no partner: {', '.join(alone[:5])}{', …' * (len(alone) > 5)}; give "
        "images that belong together the same name"
    )


def file_stem(path: Path) -> str:
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
