"""What lies on an image lies on its upscaled image too."""

import dask.array as da
import numpy as np
import pytest
from napari._app_model import get_app_model
from scenes import beads, centroid

from napari_structsr.gui.viewer.jobs import Job

TURN = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
PLACE = {"scale": (0.5, 0.13, 0.11), "translate": (3, -7, 11)}


@pytest.fixture
def result(viewer, qtbot):
    """Return a function that upscales the selected image as a user does."""
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-structsr").upscale.model = "bicubic"

    def upscale(factor=2):
        get_app_model().commands.execute_command(f"napari-structsr.upscale_x{factor}")
        qtbot.waitUntil(lambda: not Job._alive, timeout=60_000)
        return viewer.layers[1]

    return upscale


def refine():
    get_app_model().commands.execute_command("napari-structsr.refine_labels")


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("wrap", [np.asarray, da.from_array])
def test_labels_follow_without_a_change(viewer, result, notifications, factor, wrap):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 9, (3, 40, 50))
    place = {**PLACE, "rotate": TURN}
    viewer.add_image(beads((3, 40, 50), (1, 17, 28)), name="cells", **place)
    image = result(factor)
    labels = viewer.add_labels(wrap(data), name="nuclei", opacity=0.4, **place)
    viewer.layers.selection = {labels, image}

    refine()

    assert notifications() == []
    finer = viewer.layers[f"nuclei ×{factor}"]
    assert viewer.layers.index(finer) == viewer.layers.index(labels) + 1
    assert isinstance(finer.data, type(labels.data))
    assert finer.opacity == labels.opacity
    # each square is one label
    squares = np.asarray(finer.data).reshape(3, 40, factor, 50, factor)
    assert (squares == data[:, :, None, :, None]).all()
    for corner in ((0, 0, 0), (2, 40 * factor - 1, 50 * factor - 1)):
        np.testing.assert_allclose(
            finer.data_to_world(corner), image.data_to_world(corner)
        )
    # wherever one points, the label is the same
    for place in rng.uniform(0, 1, (20, 3)) * (2, 38, 48):
        where = labels.data_to_world((round(place[0]), *place[1:]))
        assert finer.get_value(where, world=True) == labels.get_value(where, world=True)


@pytest.mark.parametrize("turn", [np.eye(3), TURN], ids=["straight", "turned"])
def test_points_and_shapes_lie_on_the_result_as_they_are(viewer, result, turn):
    place = {**PLACE, "rotate": turn}
    source = viewer.add_image(beads((3, 40, 50), (1, 17, 28)), name="cells", **place)
    image = result()
    points = viewer.add_points([[1, 17, 28]], **place)
    box = [[1, 12, 23], [1, 12, 33], [1, 22, 33], [1, 22, 23]]
    shapes = viewer.add_shapes([box], **place)

    found = np.array(image.data_to_world((1, *centroid(np.asarray(image.data)[1]))))

    there = np.array(points.data_to_world(points.data[0]))
    assert np.abs((turn.T @ (found - there)) / source.scale).max() < 0.02
    corners = np.array([shapes.data_to_world(corner) for corner in shapes.data[0]])
    np.testing.assert_allclose(corners.mean(axis=0), there, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "place", "words"),
    [
        ((40, 50), {}, "lie on the pixels of cells of 40 x 50 already"),
        ((60, 75), {}, "no whole part of theirs"),
        ((80, 100), {"scale": (0.5, 0.5)}, "lie elsewhere than"),
    ],
)
def test_labels_that_cannot_follow_say_why(viewer, notifications, shape, place, words):
    image = viewer.add_image(np.zeros(shape), name="cells", **place)
    labels = viewer.add_labels(np.ones((40, 50), int), name="nuclei")
    viewer.layers.selection = {labels, image}

    refine()

    assert len(viewer.layers) == 2
    (said,) = notifications()
    assert words in said


def test_labels_alone_ask_for_an_image(viewer, notifications):
    viewer.add_labels(np.ones((40, 50), int))

    refine()

    assert "upscaled image that they shall follow" in notifications()[0]
