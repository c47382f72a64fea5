"""A pair as the dock knows it: the pair or its refusal, and where it lies in a layer.

`Frame` owns the one mapping between measured pixels of a pair and coordinates of the
layer it was taken from::

    layer pixels   first |--|--|--|--|--|--|     edges lie at -0.5, 0.5, ...
    measured             0     1     2     3     step layer pixels wide

How a pair reads in words is decided here too, without Qt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_structsr.gui.finetune.pairs_requests import PairRequest
    from napari_structsr.pairs.register_pair import ImagePair

__all__ = ["Frame", "PairEntry", "PairRow", "pair_row"]

_SHORT = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "meter": "m"}
_MOVED = "the true image was moved"  # a note; said here with the unit of the world
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Frame:
    """Where the measured pixels of a pair lie in a layer.

    Parameters
    ----------
    layer
        Key of the layer.
    position
        Index along every dimension of the layer; what it says of y and x is not read.
    plane
        Dimensions of y and x.
    first
        Layer pixel of the first measured one, along y and x.
    step
        Layer pixels along the side of a measured one.
    """

    layer: str
    position: tuple[int, ...]
    plane: tuple[int, int]
    first: tuple[float, float]
    step: float = 1.0

    def corners(
        self, rows: tuple[float, float], columns: tuple[float, float]
    ) -> npt.NDArray[np.float64]:
        """Return the corners of a rectangle in the layer, shape (4, dimensions)."""
        top, bottom = (self._out(0, edge) for edge in rows)
        left, right = (self._out(1, edge) for edge in columns)
        corners = np.tile(np.array(self.position, float), (4, 1))
        corners[:, self.plane[0]] = top, top, bottom, bottom
        corners[:, self.plane[1]] = left, right, right, left
        return corners

    def span(
        self, corners: npt.NDArray[np.floating[Any]]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return first and last + 1 row and column of corners, in whole pixels."""
        rows, columns = (
            np.rint((corners[:, dim] + 0.5 - self.first[axis]) / self.step).astype(int)
            for axis, dim in enumerate(self.plane)
        )
        return (
            (int(rows.min()), int(rows.max())),
            (int(columns.min()), int(columns.max())),
        )

    def holds(self, corners: npt.NDArray[np.floating[Any]]) -> bool:
        """Tell whether a rectangle lies in the plane of this pair."""
        others = [n for n in range(len(self.position)) if n not in self.plane]
        index = np.array(self.position, float)[others]
        return bool(np.all(np.abs(corners[:, others] - index) <= 0.5))

    def _out(self, axis: int, edge: float) -> float:
        """Return where a measured edge lies in the layer."""
        return self.first[axis] + self.step * edge - 0.5


@dataclass(frozen=True, eq=False)
class PairEntry:
    """A pair that was asked for.

    Parameters
    ----------
    name
        For people.
    pair
        The pair; None if it was refused.
    refused
        Why it was, in words.
    frame
        Where it lies in a layer; None for files.
    request
        What was asked for, from which it can be made again.
    unit
        Unit of the world it lies in; None for pixels.
    """

    name: str
    pair: ImagePair | None = None
    refused: str | None = None
    frame: Frame | None = None
    request: PairRequest | None = None
    unit: str | None = None


@dataclass(frozen=True)
class PairRow:
    """A pair in words.

    Parameters
    ----------
    name, size, shift, confidence
        Cells of the table.
    details
        All that is known, in sentences.
    refused
        Whether it was refused.
    """

    name: str
    size: str
    shift: str
    confidence: str
    details: str
    refused: bool = False


def pair_row(entry: PairEntry) -> PairRow:
    """Say in words what a pair is."""
    pair = entry.pair
    if pair is None:
        reason = entry.refused or "It was refused."
        return PairRow(entry.name, "", "", "", f"Refused: {reason}", refused=True)
    height, width = pair.measured.shape
    made = pair.registration
    known = made.uncertainty != 0 or any(made.shift) or made.scale != 1
    shift = ", ".join(_signed(by, 2) for by in made.shift)
    world = _world_shift(made.shift, pair.where.pixel, pair.factor, entry.unit)
    sentences = [f"{height} × {width} measured pixels, ×{pair.factor}."]
    if known:
        sentences.append(
            f"The high-resolution image was moved by {shift} of its pixels{world} "
            f"along y and x, sure to {made.uncertainty:.2g}; scale {made.scale:.4f}, "
            f"confidence {made.confidence:.2f}."
        )
    else:
        sentences.append("The two lie on each other as they are.")
    sentences.append(f"Gain {pair.gain:.3g}, offset {_signed(pair.offset, 3)}.")
    notes = [note for note in pair.notes if not (known and note.startswith(_MOVED))]
    sentences += [_sentence(note) for note in notes]
    return PairRow(
        name=entry.name,
        size=f"{height} × {width}",
        shift=f"{shift} px" if known else "none",
        confidence=f"{made.confidence:.2f}" if known else "",
        details=" ".join(sentences),
    )


def _world_shift(
    shift: Sequence[float], pixel: Sequence[float], factor: int, unit: str | None
) -> str:
    """Write a shift of true pixels in the unit of the world, in brackets."""
    if unit is None:
        return ""
    by = ", ".join(
        _signed(one * size / factor, 3) for one, size in zip(shift, pixel, strict=True)
    )
    return f" ({by} {_SHORT.get(unit, unit)})"


def _signed(value: float, digits: int) -> str:
    """Write a number with its sign, as in print."""
    return f"{value:+.{digits}f}".replace("-", _MINUS)


def _sentence(text: str) -> str:
    """Begin with a capital, and end with a stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
