"""Which source and which truth belong to a result, by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_structsr.errors import SettingsError, check_kind
from napari_structsr.pairs.files import file_stem
from napari_structsr.scripting.batch import find_images, is_image_folder

# as results are named here, and as people write it
_FACTOR = re.compile(r"[-_ ]x?[124]x?$")
_SHOWN = 5


def find_partners(
    results: Sequence[str], *, reference: Any, source: Any
) -> list[tuple[str | None, str | None]]:
    """Return the reference and the source of each result, None where none is given.

    Raises
    ------
    ArgumentError
        If they are no paths.
    SettingsError
        As `match_names`.
    """
    found: list[list[str | None]] = []
    for others, what in ((reference, "reference"), (source, "source")):
        if others is None:
            found.append([None] * len(results))
            continue
        remedy = "give a folder that holds an image for each result"
        check_kind(what, others, (str, os.PathLike), remedy=remedy)
        found.append([*match_names(results, os.fsdecode(others), what=what)])
    return list(zip(*found, strict=True))


def match_names(results: Sequence[str], others: str, *, what: str) -> list[str]:
    """Return for each result the image that belongs to it.

    Names belong together if they are equal without ending and factor, as ``cells.tif``
    and ``cells-x2.ome.zarr``; or else if one begins with the other, at a word, as
    ``cells_true.tif``. Of several the longest is taken.

    Parameters
    ----------
    results
        Paths.
    others
        A folder of images; or one image, which then belongs to a single result.
    what
        "source" or "reference", for the error.

    Raises
    ------
    SettingsError
        Naming the results without a partner, or with more than one.
    """
    paths = find_images([others])
    if not is_image_folder(others) and len(results) == 1:
        return paths
    found, alone = [], []
    for result in results:
        partners = _find_partners(_read_stem(result), paths)
        if len(partners) == 1:
            found.append(partners[0])
        else:
            alone.append(f"{Path(result).name} ({len(partners)})")
    if alone:
        more = ", …" if len(alone) > _SHOWN else ""
        raise SettingsError(
            f"of {len(results)} results, {len(alone)} have not one {what} in {others} "
            f"but as many as in brackets: {', '.join(alone[:_SHOWN])}{more}; give "
            "images that belong together the same name, as cells.tif and "
            "cells-x2.ome.zarr"
        )
    return found


def _find_partners(stem: str, paths: Sequence[str]) -> list[str]:
    """Return the images whose names fit a name best."""
    stems = {path: _read_stem(path) for path in paths}
    core = _FACTOR.sub("", stem)
    equal = [path for path, name in stems.items() if name == stem]
    equal = equal or [path for path, name in stems.items() if name == core]
    if equal:
        return equal
    # the longest that the result begins with, or else those that begin with it
    shorter = [path for path, name in stems.items() if _begins(stem, name)]
    longest = max((len(stems[path]) for path in shorter), default=0)
    shorter = [path for path in shorter if len(stems[path]) == longest]
    return shorter or [path for path, name in stems.items() if _begins(name, core)]


def _begins(name: str, start: str) -> bool:
    """Tell whether a name begins with another one, at the end of a word."""
    return name.startswith(start) and not name[len(start) : len(start) + 1].isalnum()


def _read_stem(path: str) -> str:
    return file_stem(Path(path)).casefold()
