"""Chunks of strangers unpack to their pixels, and to nothing more."""

import bz2
import gzip
import tracemalloc
import zlib

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from napari_structsr.errors import SourceError
from napari_structsr.io.open import open_source

HUGE = 2**28


def read_first(path):
    source = open_source(path)
    plane = (0,) * len(source.spec.axes.loops)
    return source.read(plane, slice(0, 64), slice(0, 64))[0]


def bomb_zstd():
    """Blocks of one repeated byte, without a size in the header: 256 MB in 8 KB."""
    block = (131072 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    last = (0 << 3 | 1).to_bytes(3, "little")
    count = HUGE // 131072
    return b"\x28\xb5\x2f\xfd\x00\x88" + block * count + last


# in the format of numcodecs, which the codecs of zarr 3 share
BOMBS = {
    "gzip": gzip.compress(bytes(HUGE), 1),
    "zlib": zlib.compress(bytes(HUGE), 1),
    "bz2": bz2.compress(bytes(HUGE // 4), 9) * 4,
    "zstd": bytes(numcodecs.Zstd(1).encode(np.zeros(HUGE, np.uint8))),
    "zstd-blocks": bomb_zstd(),
    "blosc": bytes(numcodecs.Blosc().encode(np.zeros(HUGE, np.uint8))),
    "lz4": bytes(numcodecs.LZ4().encode(np.zeros(HUGE, np.uint8))),
}
CODECS = {
    "gzip": numcodecs.GZip(),
    "zlib": numcodecs.Zlib(),
    "bz2": numcodecs.BZ2(),
    "lzma": numcodecs.LZMA(),
    "zstd": numcodecs.Zstd(),
    "blosc": numcodecs.Blosc(),
    "lz4": numcodecs.LZ4(),
}


@pytest.fixture
def stack():
    return np.random.default_rng(5).integers(0, 4000, (2, 64, 64), np.uint16)


def write_old(path, stack, kind):
    array = zarr.create_array(
        path,
        shape=stack.shape,
        dtype=stack.dtype,
        chunks=(1, 64, 64),
        zarr_format=2,
        compressors=CODECS[kind],
    )
    array[:] = stack
    return path / "0.0.0"


@pytest.mark.parametrize("kind", CODECS)
def test_chunks_are_read_as_zarr_reads_them(tmp_path, stack, kind):
    write_old(tmp_path / "a.zarr", stack, kind)
    assert (read_first(tmp_path / "a.zarr") == stack[0]).all()


@pytest.mark.parametrize("kind", BOMBS)
def test_a_chunk_that_unpacks_to_more_than_its_pixels(tmp_path, stack, kind):
    chunk = write_old(tmp_path / "a.zarr", stack, kind.partition("-")[0])
    chunk.write_bytes(BOMBS[kind])
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match=r"would unpack to.*copy it again"):
            read_first(tmp_path / "a.zarr")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", [GzipCodec(), ZstdCodec(), BloscCodec()])
@pytest.mark.parametrize("shards", [None, (2, 64, 64)])
def test_chunks_and_shards_of_zarr_3(tmp_path, stack, codec, shards):
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        path,
        shape=stack.shape,
        dtype=stack.dtype,
        chunks=(1, 32, 32),
        shards=shards,
        compressors=codec,
    )
    array[:] = stack
    assert (read_first(path) == stack[0]).all()
    # the array that was given can still be written to
    open_source(array).read((0,), slice(0, 64), slice(0, 64))
    array[0, 0, 0] = 9
    assert read_first(path)[0, 0] == 9
    if shards is None:
        name = str(codec.to_dict()["name"]).rpartition(".")[2]
        (path / "c/0/0/0").write_bytes(BOMBS[name])
        with pytest.raises(SourceError, match="would unpack to"):
            read_first(path)


def test_a_chunk_that_declares_itself_huge(tmp_path):
    """As the image says itself: 46 KB that are to become 1 GB."""
    path = tmp_path / "a.zarr"
    zarr.create_array(
        path,
        shape=(1, 64, 64),
        dtype="u1",
        chunks=(1, 32768, 32768),
        compressors=ZstdCodec(),
    )
    chunk = path / "c/0/0/0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(BOMBS["zstd"] * 4)
    with pytest.raises(SourceError, match="ask for 1073741824, which no image needs"):
        read_first(path)


def test_shards_of_endless_chunks(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(
        path,
        shape=(1, 2**14, 2**14),
        dtype="u2",
        chunks=(1, 1, 1),
        shards=(1, 2**14, 2**14),
    )
    with pytest.raises(SourceError, match="divided into 268435456 chunks"):
        open_source(path)


def test_damaged_streams_are_told(tmp_path, stack):
    chunk = write_old(tmp_path / "a.zarr", stack, "gzip")
    whole = chunk.read_bytes()
    for data in (whole[:-9], b"x" + whole[1:]):
        chunk.write_bytes(data)
        with pytest.raises(SourceError, match="a chunk is damaged"):
            read_first(tmp_path / "a.zarr")
    # written in two parts, as gzip allows
    half = stack[0].tobytes()
    chunk.write_bytes(gzip.compress(half[:1000]) + gzip.compress(half[1000:]))
    assert (read_first(tmp_path / "a.zarr") == stack[0]).all()
