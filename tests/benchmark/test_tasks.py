import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, line

from napari_structsr.benchmark.phantoms import draw_filaments, draw_grains, draw_nuclei
from napari_structsr.benchmark.tasks import (
    LineTask,
    ObjectTask,
    match_lines,
    match_objects,
)


def discs(count=16, value=0.8):
    """Draw a grid of 16 discs of radius 12 on a grey ground with some camera noise."""
    plane = np.full((256, 256), 0.2)
    for number in range(count):
        row, column = divmod(number, 4)
        plane[disk((32 + 64 * row, 32 + 64 * column), 12)] = value
    noise = np.random.default_rng(0).standard_normal(plane.shape)
    return ndimage.gaussian_filter(plane, 1) + 0.005 * noise


def test_each_disc_is_one_object_and_a_dropped_one_lowers_the_score():
    task = ObjectTask.of(discs())
    assert task.sign == 1
    assert task.expected.max() == 16
    assert task.score(discs()) == 1
    assert task.score(discs(12)) == pytest.approx(2 * 12 / 28)


def test_dark_pores_are_objects_too():
    task = ObjectTask.of(1 - discs())
    assert task.sign == -1
    assert task.expected.max() == 16


def test_touching_objects_are_split():
    plane = discs()
    pairs = np.maximum(plane, np.roll(plane, 21, axis=1))
    assert ObjectTask.of(pairs).expected.max() == 32


def test_the_threshold_is_that_of_the_truth():
    task = ObjectTask.of(discs())
    assert task.score(0.2 + 0.3 * (discs() - 0.2)) == 0  # too faint to be found


@pytest.mark.parametrize("sigma", [0, 1, 4])
def test_noise_holds_neither_objects_nor_lines(sigma):
    noise = np.random.default_rng(0).standard_normal((300, 300))
    noise = ndimage.gaussian_filter(noise, sigma)
    assert ObjectTask.of(noise) is None
    assert LineTask.of(noise) is None


def test_few_objects_and_flat_planes_are_no_task():
    assert ObjectTask.of(discs(4)) is None
    assert ObjectTask.of(np.full((128, 128), 0.5)) is None
    assert LineTask.of(np.full((128, 128), 0.5)) is None


def network(*, without=0):
    """Draw 8 bright lines across 200 pixels, the last ones left out."""
    plane = np.zeros((200, 200))
    for number in range(8 - without):
        plane[line(10 + 24 * number, 5, 15 + 24 * number, 195)] = 1
    return ndimage.gaussian_filter(plane, 1.2)


def test_lines_are_traced_and_a_lost_one_lowers_the_recall_alone():
    task = LineTask.of(network())
    assert task.sign == 1
    assert task.expected.sum() == pytest.approx(8 * 190, rel=0.1)
    assert task.score(network()) == 1
    half = task.score(network(without=4))
    assert half == pytest.approx(2 * 0.5 / 1.5, abs=0.02)


def test_lines_may_move_by_two_pixels_and_no_more():
    task = LineTask.of(network())
    assert task.score(np.roll(network(), 2, axis=0)) > 0.95
    assert task.score(np.roll(network(), 5, axis=0)) < 0.1


def test_dark_lines_are_lines_too():
    assert LineTask.of(1 - network()).sign == -1


def test_matching_counts_objects_of_more_than_half_common_area():
    expected = np.zeros((20, 40), int)
    expected[:, :10], expected[:, 20:30] = 1, 2
    found = np.zeros_like(expected)
    found[:, 1:10] = 1  # IoU 0.9
    found[:, 20:24] = 2  # IoU 0.4
    assert match_objects(found, expected) == 0.5
    assert match_objects(np.zeros_like(found), expected) == 0
    assert match_objects(expected, expected) == 1


def test_overlap_of_nothing():
    some = np.zeros((9, 9), bool)
    nothing = some.copy()
    some[4] = True
    assert match_lines(nothing, some) == 0
    assert match_lines(some, nothing) == 0
    assert match_lines(nothing, nothing) == 1


def test_phantoms_call_for_the_tasks_they_were_drawn_for():
    assert ObjectTask.of(draw_nuclei()).expected.max() > 30
    assert LineTask.of(draw_filaments()).expected.sum() > 1500
    polycrystal = LineTask.of(draw_grains())
    assert polycrystal.sign == -1
    assert polycrystal.expected.sum() > 1500


def test_phantoms_are_seeded_and_lie_in_range():
    for draw in (draw_filaments, draw_grains, draw_nuclei):
        first = draw(side=96, seed=3)
        np.testing.assert_array_equal(first, draw(side=96, seed=3))
        assert np.abs(first - draw(side=96, seed=4)).max() > 0.1
        assert first.shape == (96, 96)
        assert first.dtype == np.float32
        assert first.min() >= 0
        assert first.max() == 1
