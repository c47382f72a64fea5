"""Regions of a user on the pixels of a result, whatever the order of its axes."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels, Shapes

from napari_structsr.gui.inspect.regions import read_regions
from napari_structsr.io.open import open_source

SIZES = {"t": 2, "z": 3, "y": 30, "x": 40}
BOX = {"y": (4, 12), "x": (20, 33)}  # pixels of the region
PLANE = {"t": 1, "z": 2}


@pytest.mark.parametrize("names", ["yx", "xy", "zyx", "yxz", "ztyx"])
@pytest.mark.parametrize("kind", ["shapes", "labels"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_region_lies_on_its_pixels(names, kind, everywhere):
    image = Image(
        np.zeros([SIZES[name] for name in names], np.uint16),
        axis_labels=tuple(names),
        scale=[0.5] * len(names),
    )
    axes = open_source(image).spec.axes
    canonical = [name for name in "tzyx" if name in names]
    whole = {name: slice(None) for name in names}
    box = {name: slice(*ends) for name, ends in BOX.items()}
    planes = {name: index for name, index in PLANE.items() if name in names}
    wanted = np.zeros([SIZES[name] for name in canonical], int)
    drawn = box | (planes if kind == "labels" or not everywhere else {})
    wanted[tuple((whole | drawn)[name] for name in canonical)] = 1
    if kind == "labels":
        order = [canonical.index(name) for name in names]
        layer = Labels(wanted.transpose(order), scale=image.scale)
    else:
        (top, bottom), (left, right) = BOX.values()
        ends = [(top, left), (top, right), (bottom, right), (bottom, left)]
        corners = [planes | {"y": y - 0.5, "x": x - 0.5} for y, x in ends]
        points = [[corner[name] for name in names] for corner in corners]
        layer = Shapes([points], shape_type="polygon", scale=image.scale)

    labels, found = read_regions(
        layer, image, axes, everywhere=everywhere
    ).label_result()

    assert list(found) == [1]
    np.testing.assert_array_equal(np.broadcast_to(labels, wanted.shape), wanted)
