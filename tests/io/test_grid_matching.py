"""Where the pixels of one image lie among those of another."""

import pytest

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.io.grid_matching import (
    compare_planes,
    describe_extent,
    find_covered,
    match_fields,
    match_world,
)
from napari_structsr.io.resampled_view import AxisMapping


def plane(size, *, scale=1.0, translate=0.0, unit=None):
    """Return the axes of a square plane."""
    return Axes(tuple(Axis(name, size, scale, translate, unit) for name in "yx"))


def test_edges_of_one_field_of_view_coincide():
    line, _ = match_fields(plane(4), plane(8))
    assert [line.at(n) for n in (0, 3)] == [0.5, 6.5]


def test_world_coordinates_are_compared_in_one_unit():
    fine = plane(8, scale=50, translate=100, unit="nanometer")
    line, _ = match_world(plane(4, scale=0.1, unit="micrometer"), fine)
    assert (line.start, line.step) == pytest.approx((-2, 2))
    assert match_world(plane(4, unit="second"), fine) is None
    assert match_world(plane(4), fine) is None
    assert match_world(plane(4), plane(8)) == (AxisMapping(), AxisMapping())


def test_planes_are_compared_by_their_numbers():
    one, other = Axes.of("zyx", (3, 4, 4)), Axes.of("czyx", (1, 3, 4, 4))
    assert compare_planes(one, other) is None
    assert compare_planes(one, plane(4)) == ("planes along z", 3, 1)
    assert compare_planes(Axes.of("cyx", (2, 4, 4)), one) == ("channels", 2, 1)


def test_what_another_image_covers_is_whole_pixels_or_centres():
    line = AxisMapping(-2.25, 1.0)  # pixel 2 lies a quarter beyond the border
    assert find_covered(line, 10, 5) == (3, 7)
    assert find_covered(line, 10, 5, outside=0.5) == (2, 7)
    assert find_covered(line, 10, 5, outside=0.5, multiple=4) == (4, 4)
    first, last = find_covered(AxisMapping(20.0), 10, 5)
    assert last <= first


def test_an_extent_reaches_from_edge_to_edge():
    words = describe_extent(plane(4, scale=0.5, translate=1, unit="micrometer"))
    assert words == "y from 0.75 to 2.75 micrometer and x from 0.75 to 2.75 micrometer"
