"""Faults planted into a result, to see which maps of structure error find them.

Kinds that super-resolution is known for, at places that hold structure. Each comes
in two ways. *Visible*: as it is; the measurement speaks against it. *Invisible*: the
part of the change that the forward model A maps to zero, so that no measurement does.

The invisible part is the projection of the change d onto the null space of A among
images that are zero where the fault is not. Were the fault as large as the plane, it
would be ``d - A⁺ A d``; so it stays where it was planted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from scipy.linalg import solve
from skimage.filters import sato

from benchmarks.faults.shapes import HALF, MAKERS, Spot, find_detail, find_gaps
from napari_structsr.core.types import Array, Float32Array
from napari_structsr.errors import PixelError
from napari_structsr.imaging.forward import ForwardModel

__all__ = ["FAULTS", "Planted", "local_deviation", "plant"]

FAULTS = tuple(MAKERS)
"""Kinds of faults."""

_NEAR = 8  # pixels, sigma of the window in which structure is measured
_ENOUGH = 0.5  # of the structure of the busiest percent: enough for a fault
_GRAIN = 2.0  # pixels, sigma of the window in which a change is measured
_COUNTING = 0.5  # of the root mean square of the fault
_LINES = (1.5, 2.5)  # pixels, sigma of lines
_DAMPING = 1e-10


@dataclass(frozen=True)
class Planted:
    """A result with faults of one kind.

    Parameters
    ----------
    image
        Shape (H, W), float32.
    touched
        Where it was changed at all, shape (H, W), bool.
    mask
        Where the change counts, within `touched`: where its local root mean square is
        half of that of the whole fault, or more. A gain of black is black.
    places
        Row and column of the middle of each fault.
    """

    image: Float32Array
    touched: npt.NDArray[np.bool_]
    mask: npt.NDArray[np.bool_]
    places: tuple[tuple[int, int], ...]


def plant(
    fault: str,
    image: Array,
    truth: Array,
    *,
    forward_model: ForwardModel,
    visible: bool = True,
    seed: int = 0,
    count: int = 3,
) -> Planted:
    """Plant faults of one kind into a result.

    The same seed gives visible and invisible faults the same places.

    Parameters
    ----------
    fault
        One of `FAULTS`.
    image
        The result, shape (H, W), in the unit of the truth, its black at 0.
    truth
        What is truly there, same shape; sides that the factor divides.
    forward_model
        What the measurement sees.
    visible
        Whether the fault is planted as it is, or the part of it that is invisible,
        scaled to the root mean square of a texture.
    seed
        Of places and shapes.
    count
        Faults to plant; fewer where there is no room.

    Raises
    ------
    PixelError
        If the planes are too small, or their shapes differ.
    """
    if image.shape != truth.shape or min(image.shape) < 2 * HALF:
        raise PixelError(
            f"faults need a result and a truth of one shape of at least {2 * HALF} "
            f"pixels along a side; these have {image.shape} and {truth.shape}"
        )
    random = np.random.default_rng(seed)
    ridges = _find_ridges(truth)
    suitability = {
        "erased filament": ridges,
        "duplicated filament": ridges,
        "closed gap": local_deviation(
            find_gaps(image.astype(np.float64), forward_model.factor)
        ),
        "smoothed patch": local_deviation(
            find_detail(image.astype(np.float64), forward_model.factor)
        ),
    }.get(fault, local_deviation(truth))
    places = _choose_places(
        suitability, count=count, step=forward_model.factor, random=random
    )
    faulty = image.astype(np.float64)
    touched, mask = np.zeros((2, *image.shape), bool)
    for row, column in places:
        window = np.s_[row - HALF : row + HALF, column - HALF : column + HALF]
        spot = Spot(
            image[window].astype(np.float64),
            truth[window].astype(np.float64),
            ridges[window],
            forward_model.factor,
            forward_model.psf_sigma * forward_model.factor,
            random,
        )
        change, where = MAKERS[fault](spot)
        if not visible:
            change = _project_to_null_space(
                change, where, forward_model, strength=spot.strength
            )
        faulty[window] += change
        touched[window] |= where
        mask[window] |= _find_strong_change(change, where)
    return Planted(faulty.astype(np.float32), touched, mask, tuple(places))


def local_deviation(image: Array) -> Array:
    """Return how much there is to see around each pixel: the local deviation.

    Standard deviation in a Gaussian window of sigma 8, shape and unit of the image.
    """
    image = image.astype(np.float64)
    mean = ndimage.gaussian_filter(image, _NEAR)
    square = ndimage.gaussian_filter(image**2, _NEAR)
    deviation: Array = np.sqrt(np.maximum(square - mean**2, 0))
    return deviation


def _find_ridges(truth: Array) -> Array:
    """Return how much each pixel is part of a line, bright or dark."""
    found: list[Array] = [
        sato(truth, sigmas=_LINES, black_ridges=dark) for dark in (False, True)
    ]
    return max(found, key=lambda ridge: float(np.percentile(ridge, 99)))


def _choose_places(
    suitability: Array, *, count: int, step: int, random: np.random.Generator
) -> list[tuple[int, int]]:
    """Draw suitable places whose windows do not overlap."""
    height, width = suitability.shape
    inner = suitability[HALF : height - HALF + 1, HALF : width - HALF + 1]
    rows, columns = np.nonzero(inner >= _ENOUGH * np.percentile(inner, 99))
    found: list[tuple[int, int]] = []
    for number in random.permutation(len(rows)):
        # on the grid of measured pixels, so that A acts on every fault alike
        row, column = (int(at[number] + HALF) // step * step for at in (rows, columns))
        if all(max(abs(row - y), abs(column - x)) >= 2 * HALF for y, x in found):
            found.append((row, column))
        if len(found) == count:
            break
    return found


def _project_to_null_space(
    change: Array, where: Array, forward_model: ForwardModel, *, strength: float
) -> Array:
    """Return the part of a change that measures as nothing, of that strength."""
    side, factor = len(where), forward_model.factor
    impulses = torch.eye(side, dtype=torch.float64)[:, None, None].repeat(
        1, 1, factor, 1
    )
    measured = forward_model(impulses)[:, 0, 0].numpy()  # A along an axis, transposed
    along, across = (measured[index] for index in where.nonzero())
    seen = (along[:, :, None] * across[:, None]).reshape(len(along), -1)
    seen = seen[:, seen.any(axis=0)]
    wanted = change[where]
    square = seen.T @ seen
    # rows of A that barely touch the fault make the system singular: damp it
    square[np.diag_indices_from(square)] += _DAMPING * square.diagonal().max()
    unseen = wanted - seen @ solve(square, seen.T @ wanted, assume_a="pos")
    found = np.zeros(where.shape)
    found[where] = strength / max(_root_mean_square(unseen), 1e-12) * unseen
    return found


def _find_strong_change(change: Array, where: Array) -> Array:
    """Return where a change is strong, for that fault."""
    power = ndimage.gaussian_filter(change**2, _GRAIN)
    counting: Array = where & (
        power >= (_COUNTING * _root_mean_square(change[where])) ** 2
    )
    return counting


def _root_mean_square(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
