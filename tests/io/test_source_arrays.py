import threading

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_structsr.errors import AxesError, PixelError, SettingsError, SourceError
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source

SIZES = {"t": 2, "c": 3, "z": 4, "y": 5, "x": 6, "s": 3}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_order_of_axes_is_read_as_samples_rows_columns(data):
    loops = data.draw(st.sets(st.sampled_from("tczs")))
    axes = "".join(data.draw(st.permutations([*loops, "y", "x"])))
    shape = [SIZES[name] for name in axes]
    array = np.arange(np.prod(shape)).reshape(shape)
    source = open_source(array, axes=axes)
    assert source.spec.axes.names == axes
    plane = tuple(
        data.draw(st.integers(0, axis.size - 1)) for axis in source.spec.axes.loops
    )
    got = source.read(plane, slice(1, 4), slice(2, 6))
    looped = [axis.name for axis in source.spec.axes.loops]
    for sample in range(source.spec.axes.samples):
        for row in range(1, 4):
            at = dict(zip(looped, plane, strict=True)) | {"s": sample, "y": row}
            line = [array[tuple((at | {"x": x})[n] for n in axes)] for x in range(2, 6)]
            assert got[sample, row - 1].tolist() == line


@pytest.mark.parametrize(
    ("shape", "dtype", "names"),
    [
        ((8, 9), "u1", "yx"),
        ((7, 8, 9), "u2", "zyx"),
        ((8, 9, 3), "u1", "yxs"),
        ((8, 9, 4), "u2", "yxs"),
        ((8, 9, 3), "f4", "zyx"),
        ((6, 7, 8, 9), "u2", "tzyx"),
        ((7, 8, 9, 3), "u1", "zyxs"),
        ((5, 6, 7, 8, 9), "u2", "tczyx"),
        ((1, 8, 9), "u2", "yx"),
        ((1, 7, 1, 8, 9), "u2", "zyx"),
    ],
)
def test_axes_of_arrays_without_names(shape, dtype, names):
    assert open_source(np.zeros(shape, dtype)).spec.axes.names == names


def test_dropped_axes_are_read_at_their_only_index(rng, whole):
    array = rng.integers(0, 99, (1, 4, 1, 8, 9))
    assert (whole(open_source(array))[:, 0] == array[0, :, 0]).all()


def test_a_read_is_a_copy_in_native_byte_order():
    array = np.arange(20, dtype=">u2").reshape(4, 5)
    source = open_source(array)
    block = source.read((), slice(0, 4), slice(0, 5))
    block[:] = 0
    assert source.spec.dtype == np.dtype("u2").newbyteorder("=") == block.dtype
    assert array[3, 4] == 19


def test_dask_computes_only_the_blocks_that_are_read_in_the_reading_thread():
    computed = []

    def block(block_info):
        computed.append((block_info[None]["chunk-location"], threading.get_ident()))
        return np.full(block_info[None]["chunk-shape"], 5, np.uint16)

    array = da.map_blocks(
        block, chunks=((1,) * 4, (8, 8), (8, 8)), dtype="u2", meta=np.empty((0, 0, 0))
    )
    source = open_source(array)
    assert source.chunks == (8, 8)
    assert computed == []
    got = source.read((2,), slice(0, 4), slice(9, 12))
    assert got.shape == (1, 4, 3)
    assert computed == [((2, 0, 1), threading.get_ident())]


def test_windows_are_read_from_several_threads(rng):
    array = rng.integers(0, 9999, (4, 64, 64))
    source = open_source(da.from_array(array, chunks=(1, 16, 16)))
    wrong = []

    def check(z):
        for top in range(0, 60, 4):
            got = source.read((z,), slice(top, top + 4), slice(3, 50))
            wrong.extend([z] if (got[0] != array[z, top : top + 4, 3:50]).any() else [])

    threads = [threading.Thread(target=check, args=(z,)) for z in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_source_is_returned_as_it_is():
    source = open_source(np.zeros((8, 9)), name="mine")
    assert open_source(source) is source
    assert isinstance(source, Source)
    assert source.spec.name == "mine"
    assert source.origin == "numpy array"


def test_channels_are_chosen_by_index_in_the_order_asked_for(rng, whole):
    array = rng.integers(0, 99, (2, 4, 8, 9))
    source = open_source(array, axes="zcyx", channels=[3, 0])
    assert source.spec.axes.shape == (2, 2, 8, 9)
    assert (whole(source)[:, :, 0] == array[:, [3, 0]].swapaxes(0, 1)).all()


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ([4], "indices 0 to 3"),
        ([-1], "indices 0 to 3"),
        (["DAPI"], "indices 0 to 3"),
        ([1, 1], "name each once"),
        ([], "at least one"),
        ("DAPI", "give a list"),
    ],
)
def test_channels_that_do_not_exist(channels, words):
    with pytest.raises(SettingsError, match=words):
        open_source(np.zeros((4, 8, 9)), axes="cyx", channels=channels)


@pytest.mark.parametrize("axes", ["zcyx", "cyxz"])
def test_one_channel_has_no_axis_c(rng, whole, axes):
    array = rng.integers(0, 99, (4, 4, 8, 9)[-len(axes) :])
    source = open_source(array, axes=axes, channel=2, name="cells")
    assert source.spec.axes.names == axes.replace("c", "")
    assert source.spec.name == "cells"
    every = open_source(array, axes=axes)
    loops = [axis.name for axis in every.spec.axes.loops]
    expected = whole(every).take(2, axis=loops.index("c"))
    np.testing.assert_array_equal(whole(source), expected)
    with pytest.raises(SettingsError, match="leave one of them out"):
        open_source(array, axes=axes, channel=2, channels=[2])


def test_channels_of_an_image_without_channels():
    with pytest.raises(SettingsError, match="leave the choice of channels out"):
        open_source(np.zeros((4, 8, 9)), channels=[0])


@pytest.mark.parametrize(
    ("array", "axes", "error", "words"),
    [
        (np.zeros((8, 9), bool), None, PixelError, "convert them to uint8"),
        (np.zeros((8, 9), "c8"), None, PixelError, "convert them to float32"),
        (np.zeros((8, 9), object), None, PixelError, "convert them to integers"),
        (np.full((8, 9), "a"), None, PixelError, "convert them to integers"),
        (np.zeros((8, 9), "M8[s]"), None, PixelError, "convert them to integers"),
        (np.zeros(9), None, AxesError, "at least the two dimensions y and x"),
        (np.float64(3), None, AxesError, "at least the two dimensions y and x"),
        (np.zeros((0, 9)), None, AxesError, "pick an image that holds pixels"),
        (np.zeros((0, 8, 9)), None, AxesError, "pick an image that holds pixels"),
        (np.zeros((1, 9)), None, PixelError, "leave it out"),
        (np.zeros((5, 9, 1)), None, PixelError, "such as --axes yx"),
        (np.zeros((2,) * 6), None, AxesError, "open a part of the image"),
        (np.zeros((8, 9)), "zyx", AxesError, "name each dimension once"),
        (np.zeros((7, 8, 9)), "yyx", AxesError, "name each axis once"),
        (np.zeros((7, 8, 9)), "qyx", AxesError, "only t, c, z, y, x and s"),
        (np.zeros((7, 8)), "zx", AxesError, "name the two axes"),
        ([[1, 2], [3, 4]], None, SourceError, "a list is no image; give a path"),
        (None, None, SourceError, "a NoneType is no image; give a path"),
    ],
)
def test_what_holds_no_image_is_refused_with_a_remedy(array, axes, error, words):
    with pytest.raises(error, match=words):
        open_source(array, axes=axes)


def test_level_of_a_plain_array():
    with pytest.raises(SettingsError, match="only level 0, not 1"):
        open_source(np.zeros((8, 9)), level=1)


def test_a_block_that_fails_names_the_plane():
    def fail(block):
        raise ValueError("no tape in the drive")

    array = da.zeros((3, 8, 9), chunks=(1, 8, 9)).map_blocks(fail, dtype="f4")
    source = open_source(array)
    with pytest.raises(SourceError, match=r"plane z=2 of dask array .* tape") as caught:
        source.read((2,), slice(0, 8), slice(0, 9))
    assert isinstance(caught.value.__cause__, ValueError)
