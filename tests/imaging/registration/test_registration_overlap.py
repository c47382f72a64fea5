"""Common parts of images that say nothing of each other."""

import itertools

import numpy as np
import pytest
from skimage import data
from skimage.color import rgb2gray

from napari_structsr.imaging.registration.overlap import find_overlap

IMAGES = {
    "tissue": lambda: rgb2gray(data.immunohistochemistry()),
    "coins": lambda: data.coins() / 255.0,
    "brick": lambda: data.brick() / 255.0,
    "grass": lambda: data.grass() / 255.0,
    "gravel": lambda: data.gravel() / 255.0,
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("corner", [(0, 130), (140, 0), (-90, 80), (17, -45)])
def test_parts_of_one_image_are_found_where_they_lie(name, corner):
    """Noise, brightness and contrast of the two differ."""
    image = IMAGES[name]()
    side = 160
    first, second = (tuple(max(0, sign * by) for by in corner) for sign in (-1, 1))
    rng = np.random.default_rng(0)
    parts = [
        image[top : top + side, left : left + side]
        + rng.normal(0, 0.1 * image.std(), (side, side))
        for top, left in (first, second)
    ]
    found = find_overlap(parts[0], 40 * parts[1] + 3)
    assert found is not None
    assert found.shift == corner
    common = np.prod([side - abs(by) for by in corner]) / side**2
    assert found.share == pytest.approx(common)


def test_large_images_are_placed_to_the_pixel():
    image = rgb2gray(data.retina())[200:1200, 200:1200]
    found = find_overlap(image[:700, :600], image[301:, 203:])
    assert found is not None
    assert found.shift == (301, 203)


def test_different_images_have_nothing_in_common():
    images = [make()[:256, :256] for make in IMAGES.values()]
    for one, other in itertools.combinations(images, 2):
        assert find_overlap(one, other) is None


def test_neighbours_have_nothing_in_common():
    for name in IMAGES:
        image = IMAGES[name]()
        middle = image.shape[1] // 2
        assert find_overlap(image[:, : middle - 5], image[:, middle + 5 :]) is None


def test_images_without_structure_have_nothing_in_common():
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=(128, 128)) for _ in range(2)]
    flat = np.full((128, 128), 3.0)
    spot = flat.copy()
    spot[60:64, 60:64] = 4
    for one, other in ((noise[0], noise[1]), (flat, flat), (flat, noise[0])):
        assert find_overlap(one, other) is None
    assert find_overlap(spot, np.roll(spot, 9, axis=1)) is None  # any two beads
