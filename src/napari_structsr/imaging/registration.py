"""How one image lies on another: shift and scale below a pixel, or a refusal.

A wrong answer without a refusal is the worst that can happen here: it teaches a model
to move what it sees. Every answer therefore carries the error that its own blocks
show, and a sentence instead of trust where they do not agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["UNMOVED", "Registration", "apply", "register"]

Image = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Registration:
    """How `moving` must be moved to lie on `fixed`.

    What lies at q in `moving`, in pixels from the centre of the grid, lies at
    ``scale * q + shift`` in `fixed`.

    Parameters
    ----------
    shift
        Along rows and columns, in pixels.
    scale
        Magnification about the centre of the grid; 1 where none was asked for.
    confidence
        0..1.
    correlation
        Correlation coefficient of the two after the registration, in the band of
        frequencies that both hold; negative where the contrast is inverted.
    uncertainty
        Standard error of the place of a pixel, in pixels, from how far blocks of the
        image agree.
    refused
        Why the registration is not to be trusted, as a sentence; None if it is.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    confidence: float = 1.0
    correlation: float = 1.0
    uncertainty: float = 0.0
    refused: str | None = None


UNMOVED = Registration()
"""Of an image that lies on itself."""


def register(
    moving: Image,
    fixed: Image,
    *,
    with_scale: bool = False,
    coarseness: float = 1.0,
    limit: float | None = None,
) -> Registration:
    """Find the shift, and the scale if asked for, that lays `moving` on `fixed`.

    Parameters
    ----------
    moving, fixed
        Shape (h, w), the same grid; any units, contrast may be inverted. Pixels that
        are not finite are left out.
    with_scale
        Search for a magnification of 0.98 to 1.02 as well.
    coarseness
        Pixels of this grid in one pixel of the coarser image, where one of the two
        was interpolated.
    limit
        Longest shift in pixels along an axis; a quarter of the shorter side by
        default.
    """
    raise NotImplementedError


def apply(registration: Registration, image: Image) -> npt.NDArray[np.float64]:
    """Resample `moving` so that it lies on `fixed`, shape (h, w), mirrored outside."""
    raise NotImplementedError
