"""How a result, its reference and its source lie to each other."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from skimage.data import camera

from napari_structsr.core.axes import Axes
from napari_structsr.errors import AxesError
from napari_structsr.inspection.matching import match_images
from napari_structsr.io.open import open_source

IMAGE = camera()[:256, :256].astype(np.float32)


def placed(pixels, *, scale=1.0, translate=(0.0, 0.0), unit=None, axes=None):
    """Return a source whose planes lie somewhere."""
    source = open_source(np.asarray(pixels), axes=axes)
    items = []
    for axis in source.spec.axes.items:
        if axis.name in "yx":
            start = translate["yx".index(axis.name)]
            axis = replace(axis, scale=scale, translate=start, unit=unit)
        items.append(axis)
    source.spec = replace(source.spec, axes=Axes(tuple(items)))
    return source


def pixels(source):
    """Read the only plane."""
    rows, columns = (slice(0, size) for size in source.spec.axes.plane)
    return source.read((), rows, columns)[0]


def test_equal_grids_are_read_as_they_are():
    found = match_images(open_source(IMAGE), open_source(IMAGE + 1), None)
    np.testing.assert_array_equal(pixels(found.reference), IMAGE + 1)
    assert not found.notes


def test_a_reference_elsewhere_is_found_by_world_coordinates():
    result = placed(IMAGE, scale=0.1, unit="micrometer")
    part = placed(
        IMAGE[40:200, 60:220], scale=100, translate=(4e3, 6e3), unit="nanometer"
    )
    found = match_images(result, part, None)
    assert found.result.spec.axes.plane == (160, 160)
    np.testing.assert_allclose(pixels(found.reference), pixels(found.result), atol=1e-3)
    assert "rows 40 to 200 and columns 60 to 220" in found.notes[0]
    assert found.result.spec.axes["y"].translate == pytest.approx(4)


def test_a_finer_reference_is_brought_to_the_grid_of_the_result():
    fine = np.kron(IMAGE, np.ones((2, 2), np.float32))
    reference = placed(fine, scale=0.05, translate=(-0.025, -0.025), unit="micrometer")
    found = match_images(placed(IMAGE, scale=0.1, unit="micrometer"), reference, None)
    assert np.abs(pixels(found.reference) - IMAGE).mean() < 3


def test_origins_that_nobody_wrote_down_do_not_shift_the_reference():
    """An upscaled image begins a quarter of a pixel earlier than its source."""
    result = placed(IMAGE, scale=0.05, translate=(-0.025, -0.025), unit="micrometer")
    reference = placed(IMAGE, scale=0.05, unit="micrometer")
    found = match_images(result, reference, None)
    np.testing.assert_array_equal(pixels(found.reference), IMAGE)
    assert "fields of view are taken as equal" in found.notes[0]
    moved = match_images(result, reference, None, match="world")
    assert np.abs(pixels(moved.reference) - pixels(moved.result)).mean() > 1


def test_images_without_pixel_size_show_the_same_field():
    found = match_images(placed(IMAGE, scale=0.5), placed(IMAGE[::2, ::2]), None)
    assert found.result.spec.axes.plane == IMAGE.shape


def test_the_source_gives_the_factor():
    found = match_images(open_source(IMAGE), None, open_source(IMAGE[::4, ::4]))
    assert found.factor == 4
    np.testing.assert_array_equal(pixels(found.source), IMAGE[::4, ::4])


def test_a_part_is_cut_along_the_pixels_of_the_source():
    result = placed(IMAGE, scale=0.1, unit="micrometer")
    source = placed(
        IMAGE[::4, ::4], scale=0.4, translate=(0.15, 0.15), unit="micrometer"
    )
    part = placed(
        IMAGE[41:203, 62:], scale=0.1, translate=(4.1, 6.2), unit="micrometer"
    )
    found = match_images(result, part, source)
    assert found.result.spec.axes.plane == (156, 192)
    assert found.source.spec.axes.plane == (39, 48)
    np.testing.assert_array_equal(pixels(found.result), IMAGE[44:200, 64:])
    np.testing.assert_array_equal(pixels(found.source), IMAGE[44:200:4, 64::4])
    np.testing.assert_allclose(pixels(found.reference), IMAGE[44:200, 64:], atol=1e-3)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (placed(IMAGE, scale=0.1, translate=(99, 0), unit="micrometer"), "not overlap"),
        (
            placed(IMAGE, scale=0.1, translate=(25, 0), unit="micrometer"),
            "overlap by 6",
        ),
        (placed(IMAGE[:100], unit="second"), "equal fields of view"),
        (placed(IMAGE, scale=0.1, unit="millimeter"), "correct the pixel size"),
        (open_source(np.stack([IMAGE] * 3), axes="zyx"), "1 planes along z"),
        (open_source(np.stack([IMAGE] * 3), axes="cyx"), "1 channels"),
    ],
)
def test_images_that_do_not_belong_together_are_refused(reference, words):
    result = placed(IMAGE, scale=0.1, unit="micrometer")
    with pytest.raises(AxesError, match=words):
        match_images(result, reference, None)


def test_an_image_that_cannot_be_the_source_is_refused():
    with pytest.raises(AxesError, match="no whole factor"):
        match_images(open_source(IMAGE), None, open_source(IMAGE[:100, :100]))


def test_a_file_is_not_its_own_source(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, IMAGE)
    with pytest.raises(AxesError, match="are the same image"):
        match_images(open_source(path), None, open_source(path))
    # of one pixel size, but made from it
    tifffile.imwrite(tmp_path / "source.tif", IMAGE)
    for source in (tmp_path / "source.tif", IMAGE):
        matched = match_images(open_source(path), None, open_source(source))
        assert matched.factor == 1
