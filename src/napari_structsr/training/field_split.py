"""Which regions of the user's pairs teach, and which judge.

They are apart in space by a guard band as wide as the receptive field, so that no
pixel that is judged was ever seen, not even at the border of a training crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_structsr.training.field_pairs import FieldPair

__all__ = ["Block", "Split"]

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """A rectangle of one pair.

    Parameters
    ----------
    pair
        Index of the pair.
    rows, columns
        First and last + 1 measured pixel of the pair.
    """

    pair: int
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in measured pixels."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def measured(self, pair: FieldPair) -> Pixels:
        """Cut the measured pixels out of its pair, a view."""
        return pair.measured[slice(*self.rows), slice(*self.columns)]

    def truth(self, pair: FieldPair) -> Pixels:
        """Cut the true pixels out of its pair, a view."""
        rows, columns = (
            slice(pair.factor * first, pair.factor * last)
            for first, last in (self.rows, self.columns)
        )
        return pair.truth[rows, columns]


@dataclass(frozen=True)
class Split:
    """What teaches and what judges.

    Parameters
    ----------
    training, validation
        Blocks of the pairs.
    guard
        Measured pixels between the two.
    """

    training: tuple[Block, ...]
    validation: tuple[Block, ...]
    guard: int
