"""Chunks that are packed here are those that zarr writes, byte for byte, and back."""

import numpy as np
import pytest
import zarr

from napari_structsr.core.axes import Axes
from napari_structsr.io.ome_zarr.chunk_files import LocalFiles, sum_files
from napari_structsr.io.ome_zarr.chunk_packing import ChunkPacker
from napari_structsr.io.ome_zarr.layout import Layout, create_arrays

PLACE = (slice(1, 2), slice(0, 70), slice(32, 75))  # six chunks at the last corner


def make_store(folder, dtype, version, shard="auto"):
    axes = Axes.of("zyx", (3, 70, 75))
    layout = Layout(axes, np.dtype(dtype), version, 32, shard)
    create_arrays(folder, layout, {})
    return LocalFiles(folder)


def make_pixels(dtype):
    pixels = np.random.default_rng(0).poisson(90, [s.stop - s.start for s in PLACE])
    return pixels.astype(dtype)


def list_files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_files_are_those_of_zarr(tmp_path, dtype, version):
    files = make_store(tmp_path / "ours", dtype, version)
    array, pixels = files.open_array(0), make_pixels(dtype)
    assert ChunkPacker.of(array)
    sums = files.write(array, 0, PLACE, pixels)

    make_store(tmp_path / "theirs", dtype, version).open_array(0)[PLACE] = pixels
    found = list_files(tmp_path / "ours")
    assert found == list_files(tmp_path / "theirs")
    assert len(sums) == 6
    assert sums == sum_files(tmp_path / "ours" / "0", [one.name for one in sums])
    np.testing.assert_array_equal(array[PLACE], pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_zarr_reads_shards(tmp_path, dtype):
    files = make_store(tmp_path, dtype, 3, shard=64)
    array = files.open_array(0)
    assert ChunkPacker.of(array)
    pixels = np.random.default_rng(0).poisson(90, (3, 70, 75)).astype(dtype)
    # the second and fourth shard of a plane hold chunks beyond the image
    for z in (0, 2):
        place = (slice(z, z + 1), slice(0, 70), slice(0, 75))
        sums = files.write(array, 0, place, pixels[z : z + 1])
        names = [f"c/{z}/{row}/{column}" for row in (0, 1) for column in (0, 1)]
        assert [one.name for one in sums] == names
        assert sums == sum_files(tmp_path / "0", names)
    found = zarr.open_array(tmp_path / "0", mode="r")
    pixels[1] = 0
    np.testing.assert_array_equal(found[:], pixels)
    np.testing.assert_array_equal(found[2, 40:70, 30:66], pixels[2, 40:70, 30:66])

    # as large as zarr makes them, but for chunks beyond the image
    make_store(tmp_path / "theirs", dtype, 3, shard=64).open_array(0)[0] = pixels[0]
    ours, theirs = (
        (folder / "0" / "c/0/0/0").stat().st_size
        for folder in (tmp_path, tmp_path / "theirs")
    )
    assert ours == theirs
    file = tmp_path / "0" / "c/0/0/0"
    damaged = bytearray(file.read_bytes())
    damaged[40] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"[Cc]hecksum"):
        found[0]


def test_a_part_of_a_shard_is_left_to_zarr(tmp_path):
    files = make_store(tmp_path, "uint16", 3, shard=64)
    array, pixels = files.open_array(0), make_pixels("uint16")
    place = (slice(1, 2), slice(0, 70), slice(0, 43))
    sums = files.write(array, 0, place, pixels)
    np.testing.assert_array_equal(array[place], pixels)
    assert [one.name for one in sums] == ["c/1/0/0", "c/1/1/0"]


def test_what_ends_inside_a_chunk_is_left_to_zarr(tmp_path):
    files = make_store(tmp_path, "uint16", 3)
    array = files.open_array(0)
    array[:] = 7
    files.write(array, 0, (slice(0, 1), slice(0, 32), slice(0, 5)), np.ones((1, 32, 5)))
    assert (array[0, :32, :5] == 1).all()
    assert (array[0, :32, 5:] == 7).all()


def test_a_few_bytes_that_ask_for_much_memory_are_left_to_zarr(tmp_path):
    class Compressor:
        def decode(self, data):
            pytest.fail("it was unpacked")

    array = zarr.create_array(
        tmp_path / "0", shape=(1 << 30,), chunks=(1 << 30,), dtype="u1"
    )
    file = tmp_path / "0" / "c" / "0"
    file.parent.mkdir()
    # the size that the chunk has: it says no more than it should
    file.write_bytes(bytes(4) + (1 << 30).to_bytes(4, "little") + bytes(50))
    assert (
        ChunkPacker(array, Compressor(), summed=False).unpack(file.parents[1], (0,))
        is None
    )


@pytest.mark.parametrize("codecs", ["auto", None, zarr.codecs.BloscCodec(typesize=1)])
def test_codecs_of_no_result_of_ours_are_left_to_zarr(tmp_path, codecs):
    array = zarr.create_array(
        tmp_path / "0",
        shape=(1, 8, 8),
        chunks=(1, 8, 8),
        dtype="u2",
        compressors=codecs,
    )
    assert ChunkPacker.of(array) is None
