"""Many pairs at once: all planes of two stacks, or all files of two folders.

What is refused does not end the rest; its sentence is kept beside what was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from napari_structsr.errors import StructsrError
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source
from napari_structsr.pairs.checks import twin_of
from napari_structsr.pairs.duplicate_fields import with_overlap_note
from napari_structsr.pairs.files import file_stem, matched_files
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.pairs.register_pair import field_pair

__all__ = ["Collected", "folder_pairs", "whole_pairs"]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Collected:
    """What became of many pairs.

    Parameters
    ----------
    pairs
        Those that can be learnt from.
    refused
        Name and reason of the others.
    """

    pairs: tuple[ImagePair, ...]
    refused: tuple[tuple[str, str], ...]


def whole_pairs(
    low: Source,
    high: Source,
    *,
    planes: Sequence[tuple[int, ...]] | None = None,
    factor: int | None = None,
    register: bool = True,
) -> Collected:
    """Make a pair of every plane of two images.

    Parameters
    ----------
    low, high, factor, register
        As in `field_pair`.
    planes
        Indices along the looped axes of `low`; all by default.
    """
    chosen = list(low.spec.axes.planes()) if planes is None else planes

    def pair(plane: tuple[int, ...], name: str) -> ImagePair:
        """Make one."""
        return field_pair(
            low, high, plane=plane, factor=factor, register=register, name=name
        )

    loops = low.spec.axes.loops
    names = [
        " ".join(
            [
                low.spec.name,
                *(f"{a.name}{n}" for a, n in zip(loops, plane, strict=True)),
            ]
        )
        for plane in chosen
    ]
    return _collected(pair, zip(chosen, names, strict=True))


def folder_pairs(
    low: Path, high: Path, *, factor: int | None = None, register: bool = True
) -> Collected:
    """Make a pair of every two files that belong together, first planes.

    Parameters
    ----------
    low, high
        Folders. Files belong together by name without ending, or else, if there are as
        many in both, by the order of their names.
    factor, register
        As in `field_pair`.

    Raises
    ------
    TrainingError
        If files do not belong together.
    """

    def pair(files: tuple[Path, Path], name: str) -> ImagePair:
        """Make one."""
        sources = [open_source(file) for file in files]
        return field_pair(*sources, factor=factor, register=register, name=name)

    matched = matched_files(low, high)
    return _collected(pair, ((files, file_stem(files[0])) for files in matched))


def _collected(
    make: Callable[[_Item, str], ImagePair], items: Iterable[tuple[_Item, str]]
) -> Collected:
    """Make pairs, keep what is refused, and refuse those that are there already."""
    pairs: list[ImagePair] = []
    refused = []
    for item, name in items:
        try:
            pair = make(item, name)
        except StructsrError as error:
            refused.append((name, str(error)))
            continue
        twin = twin_of(pair, pairs)
        if twin is None:
            pairs.append(with_overlap_note(pair, pairs))
        else:
            refused.append((name, f"it holds the same pixels as {twin}; leave it out"))
    return Collected(tuple(pairs), tuple(refused))
