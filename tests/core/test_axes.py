import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_structsr.core.axes import Axes, Axis, ImageSpec
from napari_structsr.errors import AxesError

pixel_size = st.floats(0.01, 100)
position = st.floats(-1e4, 1e4)


@given(st.integers(1, 50), pixel_size, position, st.sampled_from([2, 3, 4]))
def test_edges_stay_where_they_were(size, scale, translate, factor):
    coarse = Axis("x", size, scale, translate)
    fine = coarse.resample(size * factor, factor)
    for axis in (coarse, fine):
        left = axis.translate - axis.scale / 2
        right = axis.translate + (axis.size - 0.5) * axis.scale
        assert left == pytest.approx(translate - scale / 2, abs=1e-8 * scale)
        assert right == pytest.approx(
            translate + (size - 0.5) * scale, abs=1e-8 * size * scale
        )


@given(st.integers(2, 9), pixel_size, position, st.sampled_from([2, 4]))
def test_fine_centres_average_to_the_coarse_centre(size, scale, translate, factor):
    axes = Axes((Axis("y", size, scale, translate), Axis("x", size, 1.0)))
    fine = axes.upscale(factor)["y"]
    centres = fine.translate + fine.scale * np.arange(fine.size)
    np.testing.assert_allclose(
        centres.reshape(size, factor).mean(axis=1),
        translate + scale * np.arange(size),
        atol=1e-8 * scale,
        rtol=1e-12,
    )


def test_upscaling_leaves_other_axes_alone():
    axes = Axes((Axis("z", 5, 0.5, 3.0, "micrometer"), Axis("y", 4), Axis("x", 6)))
    assert axes.upscale(2)["z"] == axes["z"]


def test_canonical_order():
    axes = Axes.of("xyczt", (6, 5, 3, 4, 2)).canonical()
    assert axes.names == "tczyx"
    assert axes.shape == (2, 3, 4, 5, 6)


def test_planes_follow_the_loops_whatever_the_stored_order():
    axes = Axes.of("zyxc", (2, 8, 8, 3))
    assert [axis.name for axis in axes.loops] == ["c", "z"]
    planes = list(axes.planes())
    assert len(planes) == len(set(planes)) == 6
    assert [axes.channel_of(plane) for plane in planes] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("names", "shape", "word"),
    [
        ("qyx", (2, 3, 4), "q"),
        ("yyx", (2, 3, 4), "twice"),
        ("zyt", (2, 3, 4), "lack"),
        ("yx", (2, 3, 4), "3"),
        ("zyx", (0, 3, 4), "empty"),
    ],
)
def test_wrong_axes_are_refused_by_name(names, shape, word):
    with pytest.raises(AxesError, match=word):
        Axes.of(names, shape)


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf")])
def test_impossible_pixel_size_is_refused(scale):
    with pytest.raises(AxesError, match="pixel size"):
        Axes((Axis("y", 2), Axis("x", 2, scale)))


def test_upscaled_spec_counts_bytes():
    spec = ImageSpec("a", Axes.of("xyz", (4, 5, 6)), np.dtype("uint16"))
    fine = spec.upscale(2)
    assert fine.axes.names == "zyx"
    assert fine.nbytes == 4 * spec.nbytes == 4 * 4 * 5 * 6 * 2
