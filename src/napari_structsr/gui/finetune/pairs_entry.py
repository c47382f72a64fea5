"""A pair on its way from layers or files to the list of the dock.

`LayerFrame` is the one mapping between its measured pixels and its layer::

    layer pixels   first |--|--|--|--|--|--|     edges lie at -0.5, 0.5, ...
    measured             0     1     2     3     step layer pixels wide
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source

if TYPE_CHECKING:
    from napari_structsr.pairs.image_pair import ImagePair

_MICROMETERS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6}

_SAME = 1.02  # ratio of pixel sizes that is taken for none

Span = tuple[int, int]
Corners = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class PairImage:
    """What must be known of an image layer.

    Parameters
    ----------
    key, name
        What the layer is known by, and as shown in the layer list.
    plane, pixel, unit
        Number of pixels and their size along y and x; the unit is a UDUNITS name, or
        None for pixels.
    planes
        Number of planes: all of t, c and z.
    rgb
        Whether pixels have a colour.
    """

    key: str
    name: str
    plane: tuple[int, int]
    pixel: tuple[float, float] = (1.0, 1.0)
    unit: str | None = None
    planes: int = 1
    rgb: bool = False

    @property
    def axes(self) -> Axes:
        """The axes of a plane, wherever it lies."""
        return Axes(
            tuple(
                Axis(name, size, pixel, 0.0, self.unit)
                for name, size, pixel in zip("yx", self.plane, self.pixel, strict=True)
            )
        )

    @property
    def micrometers(self) -> float | None:
        """Mean pixel size; None where it is not known."""
        # pixels need not be square, and a flipped layer has a negative scale
        share = _MICROMETERS.get(self.unit or "")
        return None if share is None else share * sum(map(abs, self.pixel)) / 2

    @property
    def coarseness(self) -> float:
        """Size of a pixel; of equal ones, the image with fewer pixels is coarser."""
        size = self.micrometers or sum(map(abs, self.pixel)) / 2
        # images without a pixel size all have one of 1: their number decides
        return size + 1e-12 / max(1, self.plane[0] * self.plane[1])


def find_mismatch(low: PairImage, high: PairImage) -> str | None:
    """Say in words why two layers are no pair; None if they can be one."""
    if low.key == high.key:
        return (
            f"Both are {low.name}: choose the low- and the high-resolution image of "
            "the same place."
        )
    if low.rgb != high.rgb:
        color, grey = (low, high) if low.rgb else (high, low)
        return (
            f"{color.name} is in colour and {grey.name} is not: split the colour "
            "image into channels, and choose the one that belongs to the other."
        )
    if low.planes != high.planes:
        return (
            f"{low.name} has {_count_planes(low.planes)}, {high.name} has "
            f"{_count_planes(high.planes)}: choose images of the same planes, or "
            "duplicate the plane that both show."
        )
    if low.unit == high.unit and high.coarseness > low.coarseness * _SAME:
        return (
            f"{low.name} has the finer pixels, so it is the high-resolution image: "
            "swap the two with ⇅."
        )
    return None


def _count_planes(count: int) -> str:
    return "a single plane" if count == 1 else f"{count} planes"


@dataclass(frozen=True)
class LayerFrame:
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

    def to_layer(
        self, rows: tuple[float, float], columns: tuple[float, float]
    ) -> npt.NDArray[np.float64]:
        """Return the corners of a rectangle in the layer, shape (4, dimensions)."""
        corners = np.tile(np.array(self.position, float), (4, 1))
        # the centre of a pixel has whole coordinates, and its first edge lies at -0.5
        (top, bottom), (left, right) = (
            [first + self.step * edge - 0.5 for edge in edges]
            for first, edges in zip(self.first, (rows, columns), strict=True)
        )
        corners[:, self.plane[0]] = top, top, bottom, bottom
        corners[:, self.plane[1]] = left, right, right, left
        return corners

    def to_pixels(self, corners: Corners) -> tuple[Span, Span]:
        """Return first and last + 1 row and column of corners, in whole pixels."""
        # rounded, since people draw rectangles between the edges of pixels
        edges = np.rint((corners[:, self.plane] + 0.5 - self.first) / self.step)
        top, left = map(int, edges.min(axis=0))
        bottom, right = map(int, edges.max(axis=0))
        return (top, bottom), (left, right)

    def contains(self, corners: Corners) -> bool:
        """Tell whether a rectangle lies in the plane of this pair."""
        distance = np.abs(corners - np.array(self.position, float))
        # what the position says of y and x is not read
        return bool(np.all(np.delete(distance, self.plane, axis=1) <= 0.5))


@dataclass(frozen=True)
class PairRequest:
    """A pair that is asked for.

    Parameters
    ----------
    name
        For people.
    low, high
        Images; `low` is None where it is to be computed, both are where they are files
        that were not opened yet.
    region
        First and last + 1 row, first and last + 1 column in `low`, or in `high` where
        that is all there is; None for whole planes.
    plane
        Index along the looped axes; None takes the first plane.
    frame
        Where the plane lies in a layer; None for files.
    paths
        Files of the images, as far as they are files.
    factor
        1, 2 or 4; None takes that of the pairs that there are, or the one that is
        nearest to the pixel sizes.
    bins
        Pixels of `low` that are averaged along y and x; `region` counts these means.
    psf_sigma, sample
        For `high` alone: blur in measured pixels, and an image whose noise is taken.
    """

    name: str
    low: Source | None
    high: Source | None
    region: tuple[int, int, int, int] | None = None
    plane: tuple[int, ...] | None = None
    frame: LayerFrame | None = None
    paths: tuple[str | None, str | None] = (None, None)
    factor: int | None = None
    bins: int = 1
    psf_sigma: float | None = None
    sample: Source | None = None

    def open_files(self) -> PairRequest:
        """Return the request with its files opened; what is open stays as it is."""
        low, high = self.paths
        if self.high is not None or high is None:
            return self
        opened = None if low is None else open_source(low)
        return replace(self, low=opened, high=open_source(high))

    def is_same_as(self, other: PairRequest | None) -> bool:
        """Tell whether the same regions of the same images are asked for."""
        if other is None or self.frame is None or other.frame is None:
            return False
        # a layer is opened anew for each request: its origin tells whether it is one
        mine, theirs = (
            (
                one.plane,
                one.region,
                one.high and one.high.origin,
                one.psf_sigma,
                one.bins,
            )
            for one in (self, other)
        )
        return self.frame.layer == other.frame.layer and mine == theirs


# equal if identical: arrays of pixels do not compare as a whole
@dataclass(frozen=True, eq=False)
class PairEntry:
    """A pair that was asked for.

    Parameters
    ----------
    name
        For people.
    pair, refused
        The pair, or why it was refused, in words.
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
    frame: LayerFrame | None = None
    request: PairRequest | None = None
    unit: str | None = None
