"""A source seen as a part, as luminance, or on another grid."""

import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.data import camera
from skimage.transform import resize

from napari_structsr.core.axes import Axes
from napari_structsr.io.open import open_source
from napari_structsr.io.resampled_view import AxisMapping, ResampledView
from napari_structsr.io.views import CroppedView, LuminanceView

IMAGE = camera()[:198, :240].astype(np.float32)


def whole(source):
    """Read the first plane."""
    rows, columns = (slice(0, size) for size in source.spec.axes.plane)
    plane = (0,) * len(source.spec.axes.loops)
    return source.read(plane, rows, columns)


def test_a_part_is_where_it_was():
    source = open_source(IMAGE)
    part = CroppedView(source, slice(20, 90), slice(30, 80))
    np.testing.assert_array_equal(whole(part)[0], IMAGE[20:90, 30:80])
    assert part.spec.axes["y"].translate == 20
    assert part.spec.axes["x"].translate == 30


def test_luminance_is_that_of_scikit_image():
    colours = np.random.default_rng(0).random((20, 30, 3), np.float32)
    source = open_source(colours, axes="yxs")
    np.testing.assert_allclose(
        whole(LuminanceView(source))[0], rgb2gray(colours), rtol=1e-4
    )


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_resampling_is_that_of_scikit_image(factor):
    shape = tuple(int(size / factor) for size in IMAGE.shape)
    line = AxisMapping((factor - 1) / 2, factor)
    source = ResampledView(open_source(IMAGE), Axes.of("yx", shape), line, line)
    expected = resize(
        IMAGE, shape, order=3, mode="symmetric", anti_aliasing=True, clip=False
    )
    np.testing.assert_allclose(whole(source)[0], expected, atol=2e-3 * 255)


@pytest.mark.parametrize(
    "line", [AxisMapping(0.3, 1.0), AxisMapping(-0.25, 0.5), AxisMapping(0.5, 2.0)]
)
def test_parts_are_read_as_the_whole(line):
    shape = tuple(int(size / line.step) - 2 for size in IMAGE.shape)
    source = ResampledView(open_source(IMAGE), Axes.of("yx", shape), line, line)
    part = source.read((), slice(11, 75), slice(40, 99))
    np.testing.assert_allclose(part[0], whole(source)[0, 11:75, 40:99], atol=1e-4)


def test_a_hole_stays_a_hole():
    image = IMAGE.copy()
    image[50, 60] = np.nan
    source = ResampledView(
        open_source(image), Axes.of("yx", (178, 220)), AxisMapping(0.5), AxisMapping()
    )
    found = whole(source)[0]
    assert np.isnan(found[49:51, 60]).all()
    assert np.isnan(found).sum() == 2
    np.testing.assert_allclose(found[100, 100], IMAGE[100:102, 100].mean(), atol=10)


def test_an_axis_of_one_plane_may_be_missing():
    source = ResampledView(
        open_source(IMAGE),
        Axes.of("zyx", (1, *IMAGE.shape)),
        AxisMapping(),
        AxisMapping(),
    )
    np.testing.assert_array_equal(
        source.read((0,), slice(0, 9), slice(0, 9))[0], IMAGE[:9, :9]
    )
