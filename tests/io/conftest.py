"""Reading whole images through a source, and the oracle to compare them with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_structsr.io.source import Source

Array = npt.NDArray[Any]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def whole() -> Callable[[Source], Array]:
    """Read all planes: loops t, c, z, then samples, y, x; never more than asked."""

    def read(source: Source) -> Array:
        height, width = source.spec.axes.plane
        planes = []
        for plane in source.spec.axes.planes():
            top = source.read(plane, slice(0, height // 2), slice(0, width))
            low = source.read(plane, slice(height // 2, height), slice(0, width))
            planes.append(np.concatenate([top, low], axis=1))
        sizes = [axis.size for axis in source.spec.axes.loops]
        return np.reshape(planes, (*sizes, *planes[0].shape))

    return read


@pytest.fixture
def canonical() -> Callable[[Array, str], Array]:
    """Bring an array with the given axes into the order that `whole` returns."""

    def transpose(array: Array, axes: str) -> Array:
        if "s" not in axes:
            array, axes = array[..., None], axes + "s"
        order = [axes.index(name) for name in "tczsyx" if name in axes]
        return array.transpose(order)

    return transpose
