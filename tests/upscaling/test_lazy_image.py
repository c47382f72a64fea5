"""An image that is upscaled where it is looked at."""

import threading

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from skimage.measure import block_reduce

from napari_structsr import (
    MemorySink,
    UpscaleSettings,
    iter_upscale,
    lazy_upscale,
    load_model,
    open_source,
    result_of,
    upscale,
)
from napari_structsr.engine.events import Cancel
from napari_structsr.engine.statistics import measure_few_planes, measure_intensity
from napari_structsr.errors import CancelError, SettingsError
from napari_structsr.io.plane_array import SourceArray
from napari_structsr.upscaling.lazy_image import open_lazy_image

EXACT = UpscaleSettings(device="cpu", precision="float32")


def make_stack(shape=(2, 300, 280)):
    return np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)


@pytest.fixture(scope="module")
def lazy():
    return lazy_upscale(make_stack(), model="faithful", settings=EXACT)


@pytest.fixture(scope="module")
def whole():
    model = load_model("faithful", factor=2)
    source = open_source(make_stack())
    return result_of(iter_upscale(source, model, MemorySink(), settings=EXACT))


keys = st.one_of(
    st.integers(-280, 279), st.slices(280), st.builds(slice, st.none(), st.none())
)


@given(key=st.tuples(st.one_of(st.integers(-2, 1), st.slices(2)), keys, keys))
@hypothesis_settings(max_examples=40)
def test_indices_are_those_of_numpy(key):
    pixels = make_stack((2, 280, 280))
    lazy = SourceArray(open_source(pixels), pixels.dtype)
    assert np.array_equal(lazy[key], pixels[key])
    assert np.array_equal(lazy[key[0], ..., key[2]], pixels[key[0], ..., key[2]])


def test_what_is_looked_at_is_what_a_run_gives(lazy, whole):
    part = (1, slice(490, 560), slice(100, 530))
    assert (lazy.shape, lazy.dtype) == (whole.shape, whole.dtype)
    # rounding to counts may fall to either side of a half
    difference = lazy[part].astype(int) - whole[part].astype(int)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-3


def test_a_tile_is_computed_once_whoever_asks_for_it():
    lazy = lazy_upscale(make_stack(), model="bicubic", settings=EXACT)
    threads = [
        threading.Thread(target=lambda: lazy[0, 100:400, 100:400]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lazy.computed == 1
    assert lazy[:, ::7].shape == (2, 86, 560)
    assert lazy.computed == 2 * 2 * 2


def test_memory_is_bounded_and_the_oldest_tile_goes():
    one = 512 * 512 * 2
    lazy = lazy_upscale(
        make_stack((1000, 600)),
        model="bicubic",
        settings=EXACT,
        memory=3 * one,
    )
    lazy[...]
    held = [tile.index for tile in lazy._grid if lazy.find(tile) is not None]
    assert sum(lazy.find(lazy._grid[n]).nbytes for n in held) <= 3 * one
    assert held[-1] == len(lazy._grid) - 1


def test_opening_reads_no_more_of_a_large_store_than_of_a_small_one(tmp_path):
    # 100 GB of which two chunks are there, one of them where samples are taken
    store = zarr.create_array(
        tmp_path / "large.zarr",
        shape=(1500, 6000, 6000),
        chunks=(1, 600, 600),
        dtype="uint16",
    )
    store[0, :600, :600] = make_stack((600, 600))
    store[700, 3000:3600, 3000:3600] = make_stack((600, 600))
    lazy = lazy_upscale(tmp_path / "large.zarr", model="bicubic", settings=EXACT)
    assert lazy.shape == (1500, 12000, 12000)
    assert lazy.computed == 0
    seen = lazy[700, 6160:6300, 6160:6300]
    assert seen.std() > 0
    assert lazy.computed == 1
    coarsest = lazy.levels[-1]
    assert max(coarsest.shape[1:]) <= 512
    assert lazy.computed == 1


class Counted:
    """A source that knows what has been read of it."""

    def __init__(self, pixels, *, heard=lambda: None):
        self._source = open_source(pixels, axes="zyx")
        self._heard = heard
        self.read_planes, self.read_pixels = set(), 0
        self.spec, self.chunks = self._source.spec, self._source.chunks
        self.origin, self.options = self._source.origin, self._source.options

    def read(self, plane, rows, columns):
        found = self._source.read(plane, rows, columns)
        self.read_planes.add(plane)
        self.read_pixels += found.size
        self._heard()
        return found


@pytest.fixture(scope="module")
def sparse():
    """Return two thousand empty planes but for one, where no sample is taken."""
    stack = np.zeros((2000, 60, 700), np.uint16)
    stack[1001] = make_stack((60, 700))
    return stack


def test_opening_a_sparse_stack_reads_few_planes_and_pixels(sparse):
    source = Counted(sparse)
    open_lazy_image(source, load_model("bicubic", factor=2), settings=EXACT)
    assert 0 < len(source.read_planes) <= 8
    assert source.read_pixels <= 72 * 192**2


def test_what_samples_have_missed_is_upscaled_where_it_is_looked_at(sparse):
    source = Counted(sparse)
    lazy = open_lazy_image(source, load_model("faithful", factor=2), settings=EXACT)
    assert not lazy[1000, :100, :100].any()
    before = len(source.read_planes)
    seen = lazy[1001]
    assert len(source.read_planes) <= before + 1
    # the range is that of the plane, and stays
    alone = lazy_upscale(sparse[1001], model="faithful", settings=EXACT)[...]
    assert np.abs(seen.astype(int) - alone.astype(int)).mean() < 0.01 * alone.std()
    assert not lazy[1002, :100, :100].any()


def test_a_small_sparse_stack_is_searched_as_by_a_run(sparse):
    source = open_source(sparse[990:1020], axes="zyx")
    assert measure_few_planes(source) == measure_intensity(source)
    assert not measure_few_planes(source)[0].constant


def test_opening_ends_at_once_when_it_is_cancelled(sparse):
    cancel = Cancel()
    source = Counted(sparse, heard=cancel)
    with pytest.raises(CancelError):
        open_lazy_image(source, load_model("bicubic", factor=2), cancel=cancel)
    # reads that were under way are not interrupted
    assert len(source.read_planes) <= 4


def test_coarser_levels_are_the_measured_pixels_and_their_means():
    stack = make_stack((700, 1200))
    lazy = lazy_upscale(stack, model="faithful", settings=EXACT)
    assert [level.shape for level in lazy.levels] == [
        (1400, 2400),
        (700, 1200),
        (350, 600),
        (175, 300),
    ]
    assert np.array_equal(lazy.levels[1][...], stack)
    means = block_reduce(stack, (2, 2), np.mean)
    assert np.array_equal(lazy.levels[2][...], means.round().astype(np.uint16))
    assert lazy.computed == 0


def test_levels_of_a_pyramid_are_taken(tmp_path):
    path = tmp_path / "pyramid.ome.zarr"
    upscale(make_stack((700, 900)), path, model="bicubic", progress=False)
    lazy = lazy_upscale(path, model="bicubic", settings=EXACT)
    own = zarr.open_group(path, mode="r")
    assert np.array_equal(lazy.levels[1][...], own["0"][...])
    assert np.array_equal(lazy.levels[2][...], own["1"][...])


def test_colours_come_last_as_in_files():
    pixels = make_stack((40, 50, 3))
    lazy = lazy_upscale(
        open_source(pixels, axes="yxs"),
        model="bicubic",
        settings=EXACT,
    )
    assert lazy.shape == (80, 100, 3)
    assert np.array_equal(lazy.levels[1][3:9, :, 1], pixels[3:9, :, 1])
    assert lazy[10:20, 5].shape == (10, 3)


def test_dask_computes_what_is_asked_for(lazy, whole):
    before = lazy.computed
    found = lazy.to_dask()[0, :100, :100].compute()
    assert np.abs(found.astype(int) - whole[0, :100, :100].astype(int)).max() <= 1
    assert lazy.computed <= before + 1


def test_settings_that_do_not_fit_are_refused_as_by_a_run():
    with pytest.raises(SettingsError, match="luminance"):
        lazy_upscale(
            make_stack(),
            model="bicubic",
            settings=UpscaleSettings(color="luminance"),
        )
