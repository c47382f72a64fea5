"""Layers that are rotated, sheared or placed by an affine, as pairs."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_structsr.errors import SettingsError
from napari_structsr.gui.viewer.alignment import open_source_on
from napari_structsr.io.open import open_source
from napari_structsr.pairs.geometry import match_grids

ANGLE = np.deg2rad(20)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
UNITS = {"units": ("um", "um")}


def layer(size, pixel, *, place=(0.0, 0.0), name="a", **transform):
    shape = (size, size + 20)
    return Image(
        np.zeros(shape, np.uint16),
        name=name,
        scale=(pixel, pixel),
        translate=place,
        **UNITS,
        **transform,
    )


def affine(linear, move=(0.0, 0.0)):
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, move
    return matrix


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"affine": affine(np.eye(2), (3.0, -2.0))}, {}),
        ({}, {"affine": affine(np.diag([0.75, 0.75]), (1.0, 4.0))}),
        ({"rotate": TURN}, {"rotate": TURN}),
        ({"affine": affine(TURN, (5, 5))}, {"affine": affine(TURN, (4, 6))}),
        ({"shear": [0.2]}, {"shear": [0.2]}),
    ],
)
def test_rows_along_rows_are_matched_as_they_are_shown(one, other):
    low = layer(50, 0.6, place=(1.0, 2.0), **one)
    high = layer(150, 0.3, place=(-2.0, 1.0), name="b", **other)
    grid = match_grids(open_source(low), open_source_on(low, high), None)
    for point in ((0, 0), (49, 0), (13, 37)):
        shown = high.world_to_data(low.data_to_world(point))
        lies = [line.at(n) for line, n in zip(grid.mappings, point, strict=True)]
        assert lies == pytest.approx(shown, abs=1e-6)


def test_other_dimensions_and_units_do_not_matter():
    low = Image(np.zeros((3, 40, 50)), scale=(2, 200, 200), units=("um", "nm", "nm"))
    high = layer(80, 0.1, affine=affine(np.eye(2), (1.0, 2.0)))
    grid = match_grids(open_source(low), open_source_on(low, high), None)
    assert [line.at(0) for line in grid.mappings] == pytest.approx([-10, -20])
    assert [line.step for line in grid.mappings] == pytest.approx([2, 2])


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ({"rotate": TURN}, {}, "turned or sheared"),
        ({}, {"rotate": 1.0}, "turned or sheared"),
        ({}, {"shear": [0.1]}, "turned or sheared"),
        ({}, {"affine": affine(TURN)}, "turned or sheared"),
        ({}, {"rotate": 90.0}, "turned or sheared"),
        ({}, {"affine": affine(np.diag([-1.0, 1.0]))}, "mirrored"),
    ],
)
def test_what_is_turned_against_the_other_is_refused(one, other, word):
    with pytest.raises(SettingsError, match=word):
        open_source_on(layer(50, 0.6, **one), layer(150, 0.3, name="b", **other))


def test_layers_without_such_a_place_are_opened_as_they_are():
    high = layer(150, 0.3)
    axes = open_source(high).spec.axes
    assert open_source_on(layer(50, 0.6), high).spec.axes == axes
