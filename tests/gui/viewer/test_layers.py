"""A result lies where its source lies, looks like it, and never takes its name."""

from __future__ import annotations

import itertools
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels, Points

from napari_structsr.gui.viewer.layers import (
    free_name,
    free_path,
    layer_obstacle,
    result_layer,
)
from napari_structsr.io.open import open_source

TURN = np.array(
    [[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]]
)
AFFINE = np.array(
    [[1, 0, 0, 2], [0, 1.1, 0.2, -3], [0, 0.1, 0.9, 4], [0, 0, 0, 1]], dtype=float
)
PLACED = {
    "scale": (0.5, 0.13, 0.11),
    "translate": (7, -3, 11),
    "rotate": TURN,
    "shear": (0.1, 0.0, 0.2),
    "affine": AFFINE,
    "units": ("um", "um", "um"),
    "axis_labels": ("z", "y", "x"),
}


def upscaled(layer: Image, output, *, factor: int = 2) -> Image:
    axes = open_source(layer).spec.axes
    return result_layer(
        layer, output, factor=factor, axes=axes, name="result", metadata={}
    )


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("layout", ["scale", "rotate", "shear", "affine", "all"])
def test_every_structure_keeps_its_place_in_the_world(factor, layout):
    kept = {"scale", "translate", "units", "axis_labels", layout}
    place = {k: v for k, v in PLACED.items() if layout == "all" or k in kept}
    layer = Image(np.zeros((3, 8, 9)), **place)

    result = upscaled(layer, np.zeros((3, 8 * factor, 9 * factor)), factor=factor)

    # the corners of the image are the outer edges of its first and last pixels
    for corner in itertools.product((0, 2), (-0.5, 7.5), (-0.5, 8.5)):
        finer = np.array(corner)
        finer[1:] = (finer[1:] + 0.5) * factor - 0.5
        difference = result.data_to_world(finer) - np.array(layer.data_to_world(corner))
        assert np.abs(difference).max() < 1e-9
    assert result.units == layer.units
    assert result.axis_labels == layer.axis_labels


def test_any_order_of_axes():
    layer = Image(np.zeros((8, 3, 9)), axis_labels=("y", "z", "x"), scale=(2, 5, 3))

    result = upscaled(layer, np.zeros((3, 16, 18)))  # canonical: z, y, x

    assert result.data.shape == (16, 3, 18)
    np.testing.assert_allclose(result.scale, (1, 5, 1.5))
    np.testing.assert_allclose(result.translate, (-0.5, 0, -0.75))


def test_result_looks_like_its_source():
    layer = Image(
        np.zeros((8, 9), np.uint16),
        colormap="magma",
        contrast_limits=(10, 200),
        gamma=0.7,
        blending="additive",
        opacity=0.6,
        interpolation2d="linear",
        visible=False,
    )
    layer.contrast_limits_range = (0, 900)

    result = upscaled(layer, np.zeros((16, 18), np.uint16))

    for name in ("gamma", "blending", "opacity", "interpolation2d"):
        assert getattr(result, name) == getattr(layer, name)
    assert result.visible  # what was asked for is shown
    assert result.colormap.name == "magma"
    assert list(result.contrast_limits) == [10, 200]
    assert list(result.contrast_limits_range) == [0, 900]


def test_multiscale_source_gives_multiscale_result():
    levels = [np.zeros((700, 600)), np.zeros((350, 300))]
    layer = Image(levels, multiscale=True)

    result = upscaled(layer, np.arange(1400.0 * 1200).reshape(1400, 1200))

    assert [level.shape for level in result.data] == [
        (1400, 1200),
        (700, 600),
        (350, 300),
    ]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Labels(np.zeros((8, 8), int)), "labels"),
        (Points(np.zeros((3, 2))), "points hold no intensities"),
        (Image(np.zeros((8, 8), bool)), "boolean"),
        (Image(np.zeros((1, 8))), "pixel"),
        (Image(np.zeros((8, 8)), metadata={"structsr": "preview"}), "preview"),
        (Image(np.zeros((2,) * 4 + (8, 8))), "dimensions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_upscaled_is_said_in_words(layer, words):
    assert words in layer_obstacle(layer)


@pytest.mark.parametrize(
    "layer",
    [
        Image(np.zeros((8, 9))),
        Image(np.zeros((8, 9, 3), np.uint8), rgb=True),
        Image(da.zeros((2, 3, 4, 8, 9))),
        Image([np.zeros((64, 64)), np.zeros((32, 32))], multiscale=True),
    ],
)
def test_what_can_be_upscaled(layer):
    assert layer_obstacle(layer) is None


def test_names_are_never_taken_twice():
    assert free_name("a ×2", {"b"}) == "a ×2"
    assert free_name("a ×2", {"a ×2"}) == "a ×2 (2)"
    assert free_name("a ×2", {"a ×2", "a ×2 (2)"}) == "a ×2 (3)"


def test_paths_are_never_taken_twice_but_unfinished_ones_go_on(tmp_path: Path):
    first = free_path(tmp_path, "a/b: c ×2 faithful")
    assert first.parent == tmp_path
    assert first.name == "a_b_c_x2_faithful.ome.zarr"

    zarr.open_group(first, mode="w")  # somebody else's
    second = free_path(tmp_path, "a/b: c ×2 faithful")
    assert second.name == "a_b_c_x2_faithful_2.ome.zarr"
