"""A source as a lazy array."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_structsr.io.open import open_source
from napari_structsr.io.plane_array import make_dask_array


@pytest.mark.parametrize("names", ["yx", "czyx", "yxc", "tzyxs", "xy"])
def test_slices_are_those_of_the_array(rng, names):
    sizes = {"t": 2, "c": 4, "z": 3, "y": 8, "x": 9, "s": 3}
    pixels = rng.integers(0, 255, [sizes[name] for name in names], np.uint8)

    lazy = make_dask_array(open_source(pixels, axes=names))

    assert (lazy.shape, lazy.dtype) == (pixels.shape, pixels.dtype)
    np.testing.assert_array_equal(lazy, pixels)
    np.testing.assert_array_equal(lazy[1], pixels[1])
    np.testing.assert_array_equal(lazy[..., 2:5, 1:3], pixels[..., 2:5, 1:3])


def test_only_what_is_looked_at_is_read(tmp_path):
    path = tmp_path / "large.tif"
    pixels = np.zeros((3, 3000, 2500), np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="minisblack")
    source, asked = open_source(path), []
    read = source.read

    def watched(plane, rows, columns):
        asked.append((plane, rows, columns))
        return read(plane, rows, columns)

    source.read = watched
    lazy = make_dask_array(source)

    np.asarray(lazy[1, 1100:1110, :5])

    [(plane, rows, columns)] = asked
    assert plane == (1,)
    assert rows.start >= 1024
    assert columns.stop <= 1024
