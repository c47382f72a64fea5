"""A pyramid that is drawn from what is there; needs no viewer."""

import numpy as np
import pytest
from skimage.measure import block_reduce

from napari_structsr import lazy_upscale, open_source
from napari_structsr.gui.viewer.screen_tiles import ScreenTiles
from napari_structsr.io.plane_array import SourceArray


class Counted(SourceArray):
    """Notes what is read."""

    def __init__(self, *words, **options):
        super().__init__(*words, **options)
        self.places = []

    def read(self, plane, rows, columns):
        self.places.append((plane, rows.start, columns.start))
        return super().read(plane, rows, columns)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(1, 4000, (3, 2100, 1800), np.uint16)


@pytest.fixture
def levels(pixels):
    source = open_source(pixels)
    return [Counted(source, pixels.dtype, binning=n) for n in (1, 2, 4)]


def load_all(tiles):
    while tiles.load_next(patience=0) is not None:
        pass


def test_nothing_is_waited_for_and_everything_comes(pixels, levels):
    tiles = ScreenTiles(levels, background=7)
    screen = tiles.screen_levels[0]
    part = (1, slice(900, 1500), slice(300, 1100))

    assert (np.asarray(screen[part]) == 7).all()
    assert not levels[0].places
    load_all(tiles)

    assert np.array_equal(screen[part], pixels[part])
    assert tiles.is_complete


def test_coarse_pixels_stand_for_fine_ones_until_they_come(pixels, levels):
    tiles = ScreenTiles(levels)
    screen = tiles.screen_levels[0]
    part = (0, slice(512, 1024), slice(512, 1024))
    np.asarray(screen[part])
    # the coarsest tile comes first
    assert tiles.load_next(patience=0).level == 2

    coarse = block_reduce(pixels[0], (4, 4), np.mean).round().astype(np.uint16)
    expected = coarse.repeat(4, 0).repeat(4, 1)[512:1024, 512:1024]
    assert np.array_equal(screen[part], expected)


def test_every_tile_is_read_once_while_the_view_moves(levels):
    tiles = ScreenTiles(levels)
    screen = tiles.screen_levels[0]
    for left in range(0, 1200, 100):
        # in two steps, as napari does
        np.asarray(screen[:, 400:900, left : left + 500][0])
        tiles.load_next(patience=0)
    load_all(tiles)
    for level in levels:
        assert len(level.places) == len(set(level.places))


def test_who_looks_elsewhere_is_not_made_to_wait_for_what_he_left(levels):
    tiles = ScreenTiles(levels)
    screen = tiles.screen_levels[0]
    np.asarray(screen[0])
    np.asarray(screen[2, :512, :512])
    load_all(tiles)
    assert set(levels[0].places) == {((2,), 0, 0)}


def test_a_thumbnail_does_not_take_the_place_of_the_view(pixels, levels):
    tiles = ScreenTiles(levels)
    part = (1, slice(900, 1500), slice(300, 1100))
    np.asarray(tiles.screen_levels[0][part])
    np.asarray(tiles.screen_levels[-1][1])
    load_all(tiles)
    assert np.array_equal(tiles.screen_levels[0][part], pixels[part])


def test_whole_planes_of_the_coarsest_level_come_for_a_view_in_3d(pixels, levels):
    tiles = ScreenTiles(levels)
    screen = tiles.screen_levels[2]
    assert (np.asarray(screen[:, :, :]) == 0).all()
    load_all(tiles)
    assert np.array_equal(screen[:, :, :], levels[2][...])


def test_what_is_saved_is_computed_not_what_happens_to_be_there(pixels, levels):
    screen = ScreenTiles(levels).screen_levels[1]
    assert np.array_equal(np.asarray(screen), levels[1][...])


def test_tiles_of_a_lazy_image_are_computed_once():
    small = np.random.default_rng(0).integers(0, 4000, (2, 600, 700), np.uint16)
    image = lazy_upscale(small, model="bicubic", device="cpu")
    tiles = ScreenTiles(image.levels)
    screen = tiles.screen_levels[0]
    for top in (0, 200, 400, 600):
        np.asarray(screen[0, top : top + 300, 100:900])
        load_all(tiles)
    assert image.computed == 2 * 2
    assert np.array_equal(screen[0, 0:900, 100:900], image[0, 0:900, 100:900])
