"""What can be compared, decided from layers alone."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_structsr.gui.compare.rules import (
    choose_grid_shape,
    compare_obstacle,
    find_world_box,
    suggest_layers,
)


def image(name: str, *, source: str | None = None, **kwargs) -> Image:
    made = {} if source is None else {"structsr": {"source": source, "record": {}}}
    return Image(np.zeros((40, 50)), name=name, metadata=made, **kwargs)


@pytest.mark.parametrize(
    ("count", "canvas", "field", "shape"),
    [
        (2, (600, 800), (40, 50), (1, 2)),
        (2, (600, 800), (10, 90), (2, 1)),
        (3, (800, 600), (40, 50), (3, 1)),
        (3, (300, 1200), (40, 50), (1, 3)),
        (4, (600, 600), (40, 40), (2, 2)),
        (5, (600, 900), (40, 40), (2, 3)),
    ],
)
def test_fields_are_as_large_as_they_can_be(count, canvas, field, shape):
    assert choose_grid_shape(count, canvas=canvas, field=field) == shape


def test_edges_of_pixels_count_and_units_are_converted():
    cells = image("cells", scale=(0.5, 0.5), units=("um", "um"))
    low, high = find_world_box(cells)
    assert list(low) == [-0.25, -0.25]
    assert list(high) == [19.75, 24.75]
    low, high = find_world_box(cells, like=image("other", units=("nm", "nm")))
    assert high == pytest.approx([19_750, 24_750])

    beside = image(
        "beside", scale=(500, 500), units=("nm", "nm"), translate=(0, 25_100)
    )
    assert "cells and beside do not overlap: along" in compare_obstacle([cells, beside])
    beside.translate = (0, 24_900)
    assert compare_obstacle([cells, beside]) is None
    beside.units = ("pixel", "pixel")  # napari ignores units that contradict
    assert "do not overlap" in compare_obstacle([cells, beside])


def test_a_plane_of_another_stack_does_not_overlap():
    stack = Image(np.zeros((3, 40, 50)), name="stack")
    other = Image(np.zeros((3, 40, 50)), name="other", translate=(7, 0, 0))
    flat = image("flat")
    assert "from -0.5 to 2.5 and from 6.5 to 9.5" in compare_obstacle([stack, other])
    assert compare_obstacle([stack, flat]) is None


def test_results_of_results_belong_to_the_first_source():
    cells, other = image("cells"), image("other")
    sharp = image("sharp", source="cells")
    again = image("again", source="sharp")
    lost = image("lost", source="gone")
    layers = [cells, other, sharp, again, lost]

    assert suggest_layers(layers, [again]) == [cells, sharp, again]
    assert suggest_layers(layers, [other]) == [other]
    assert suggest_layers(layers, []) == []
    assert suggest_layers([cells, other], []) == [cells, other]
    sharp.metadata["structsr"]["source"] = "again"  # renamed to a circle
    assert suggest_layers([sharp, again], [again]) == [sharp, again]
