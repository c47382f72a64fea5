"""Parts of zarr arrays are what zarr reads, and each chunk is read once in a run."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import LocalStore

from napari_structsr import MemorySink, OmeZarrSink, UpscaleSettings, load_model
from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import TileGrid
from napari_structsr.engine.events import Failed, Progressed, result_of
from napari_structsr.engine.tiles import find_depths, order_tiles
from napari_structsr.errors import SourceError
from napari_structsr.io.ome_zarr import kept_chunks
from napari_structsr.io.ome_zarr.chunk_files import LocalFiles
from napari_structsr.io.ome_zarr.chunk_packing import ChunkPacker
from napari_structsr.io.ome_zarr.layout import Layout, create_arrays
from napari_structsr.io.open import open_source
from napari_structsr.upscaling.lazy_image import open_lazy_image
from napari_structsr.upscaling.upscale import iter_upscale

CODECS = {
    "ours": zarr.codecs.BloscCodec(typesize=2, shuffle="bitshuffle"),
    "gzip": zarr.codecs.GzipCodec(),
    "none": None,
}


def write_array(path, pixels, chunks, *, shards=None, codec="ours", version=3):
    options = {"compressors": CODECS[codec]} if version == 3 else {}
    array = zarr.create_array(
        path,
        shape=pixels.shape,
        chunks=chunks,
        shards=shards,
        dtype=pixels.dtype,
        zarr_format=version,
        **options,
    )
    array[...] = pixels
    return path


def make_stack(shape, seed=0):
    return np.random.default_rng(seed).poisson(90, shape).astype(np.uint16)


@pytest.fixture
def read_files(monkeypatch):
    """Count how often each chunk of a.zarr is read, by us or by zarr."""
    counts = Counter()
    lock = threading.Lock()

    def note(name):
        with lock:
            counts[name] += 1

    unpack, get = ChunkPacker.unpack, LocalStore.get

    def unpack_and_note(self, folder, place):
        found = unpack(self, folder, place)
        if found is not None and folder.name == "a.zarr":
            note(tuple(place))
        return found

    async def get_and_note(self, key, *args, **options):
        if self.root.name == "a.zarr" and "c/" in key:
            note(key)
        return await get(self, key, *args, **options)

    monkeypatch.setattr(ChunkPacker, "unpack", unpack_and_note)
    monkeypatch.setattr(LocalStore, "get", get_and_note)
    return counts


@given(data=st.data())
def test_parts_are_those_of_the_array(data, tmp_path_factory):
    draw = data.draw
    shape = tuple(draw(st.integers(2, 30)) for _ in range(3))
    chunks = tuple(draw(st.integers(1, size)) for size in shape)
    version = draw(st.sampled_from([2, 3]))
    codec = draw(st.sampled_from(list(CODECS)))
    shards = None
    if version == 3 and draw(st.booleans()):
        shards = tuple(size * draw(st.integers(1, 3)) for size in chunks)
    pixels = make_stack(shape)
    folder = tmp_path_factory.mktemp("array") / "a.zarr"
    write_array(folder, pixels, chunks, shards=shards, codec=codec, version=version)
    source = open_source(folder, axes="zyx")
    if draw(st.booleans()):
        source.keep_chunks()
    places = []
    for _ in range(draw(st.integers(1, 8))):
        parts = [
            slice(*sorted((draw(st.integers(0, size)), draw(st.integers(0, size)))))
            for size in shape[1:]
        ]
        places.append((draw(st.integers(0, shape[0] - 1)), *parts))
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda place: source.read((place[0],), *place[1:])[0], places)
        )
    for place, part in zip(places, found, strict=True):
        np.testing.assert_array_equal(part, pixels[place])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("shards", [None, (8, 64, 64)])
def test_a_run_reads_each_chunk_once(tmp_path, read_files, codec, shards):
    """Planes share their chunks, and tiles the margins that they read."""
    pixels = make_stack((8, 150, 170))
    path = write_array(
        tmp_path / "a.zarr", pixels, (4, 32, 32), shards=shards, codec=codec
    )
    asked = UpscaleSettings(device="cpu", tile=64)
    source = open_source(path, axes="zyx")
    # statistics look at samples of their own before
    model = load_model("bicubic")
    out = OmeZarrSink(tmp_path / "out.ome.zarr", chunk=64)
    events = iter_upscale(source, model, out, settings=asked)
    next(events)
    read_files.clear()
    result_of(events)
    if not (shards and codec != "ours"):  # of a shard, zarr reads its table anew
        assert max(read_files.values()) == 1
    whole = result_of(
        iter_upscale(
            open_source(pixels, axes="zyx"), model, MemorySink(), settings=asked
        )
    )
    np.testing.assert_array_equal(
        zarr.open_array(tmp_path / "out.ome.zarr" / "0", mode="r")[:], whole
    )


@pytest.mark.parametrize("lazy", [False, True])
def test_what_stays_in_memory_reads_each_chunk_once(tmp_path, read_files, lazy):
    pixels = make_stack((8, 150, 170))
    path = write_array(tmp_path / "a.zarr", pixels, (4, 32, 32))
    source = open_source(path, axes="zyx")
    asked = UpscaleSettings(device="cpu", tile=64)
    model = load_model("bicubic")
    if lazy:
        image = open_lazy_image(source, model, settings=asked)
        read_files.clear()
        found = np.asarray(image)
    else:
        events = iter_upscale(source, model, MemorySink(), settings=asked)
        next(events)
        read_files.clear()
        found = result_of(events)
    assert max(read_files.values()) == 1
    whole = iter_upscale(
        open_source(pixels, axes="zyx"), model, MemorySink(), settings=asked
    )
    np.testing.assert_array_equal(found, result_of(whole))


def test_a_second_run_in_memory_sees_what_was_written_since(tmp_path):
    pixels = make_stack((4, 64, 64))
    path = write_array(tmp_path / "a.zarr", pixels, (4, 32, 32))
    source = open_source(path, axes="zyx")
    found = []
    for added in (0, 1000):
        zarr.open_array(path, mode="r+")[:] = pixels + added
        events = iter_upscale(source, load_model("bicubic"), MemorySink())
        found.append(result_of(events).astype(int))
    assert abs(found[1] - found[0] - 1000).max() <= 1


def test_a_chunk_that_changes_is_not_taken_for_the_former_one(tmp_path):
    pixels = make_stack((8, 150, 170))
    path = write_array(tmp_path / "a.zarr", pixels, (4, 32, 32))
    array = zarr.open_array(path, mode="r+")
    # seen before the run, as in a viewer
    source = open_source(path, axes="zyx")
    source.read((0,), slice(0, 40), slice(0, 40))
    array[:] = pixels + 1
    sink = OmeZarrSink(tmp_path / "out.ome.zarr", chunk=64)
    asked = UpscaleSettings(device="cpu", tile=64)
    events = iter_upscale(source, load_model("bicubic"), sink, settings=asked)
    changed = False
    for event in events:
        if isinstance(event, Progressed) and not changed:
            assert (source.read((0,), slice(0, 9), slice(0, 9))[0] > 0).all()
            first = source.read((0,), slice(0, 9), slice(0, 9))[0]
            np.testing.assert_array_equal(first, pixels[0, :9, :9] + 1)
            array[:] = pixels
            changed = True
    assert isinstance(event, Failed)
    assert "has changed since the image was opened" in str(event.error)


@pytest.mark.parametrize(
    ("chunks", "room", "kept"),
    [
        ((1, 64, 64), 1 << 26, 4),  # no more than one plane has
        ((1, 64, 64), 3 * 64 * 64 * 2, 3),
        ((1, 128, 128), 100, 1),  # what all tiles of a plane need
        ((40, 32, 32), 100, 16),
    ],
)
def test_memory_for_chunks_is_bounded(tmp_path, monkeypatch, chunks, room, kept):
    monkeypatch.setattr(kept_chunks, "_SHALLOW_BYTES", room)
    monkeypatch.setattr(kept_chunks, "CACHE_BYTES", 16 * 40 * 32 * 32 * 2)
    pixels = make_stack((40, 128, 128))
    path = write_array(tmp_path / "a.zarr", pixels, chunks)
    source = open_source(path, axes="zyx")
    source.keep_chunks()
    for plane in range(40):
        for row in (0, 64):
            for column in (0, 64):
                place = slice(row, row + 64), slice(column, column + 64)
                found = source.read((plane,), *place)[0]
                np.testing.assert_array_equal(found, pixels[plane, *place])
    assert len(source.parts._chunks) == kept


def test_what_cannot_be_read_does_not_stop_what_waits_for_it(tmp_path, monkeypatch):
    path = write_array(tmp_path / "a.zarr", make_stack((2, 64, 64)), (2, 64, 64))
    file = path / "c/0/0/0"
    data = file.read_bytes()
    file.write_bytes(data[:30])
    source = open_source(path, axes="zyx")
    source.keep_chunks()

    def read(_):
        with pytest.raises(SourceError, match="cannot be read"):
            source.read((0,), slice(0, 64), slice(0, 64))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(8)))
    # the same file, as it was
    file.write_bytes(data)
    assert source.read((0,), slice(0, 64), slice(0, 64)).any()


@given(
    loops=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    depth=st.integers(1, 4),
    data=st.data(),
)
def test_tiles_are_ordered_by_the_chunks_of_the_input(loops, depth, data):
    names = "tcz"[-len(loops) :]
    source = open_source(np.zeros((*loops, 60, 50), np.uint8), axes=f"{names}yx")
    source.depths = {"z": depth}
    grid = TileGrid(tuple(loops), (60, 50), 1, (20, 25), 3)
    some = sorted(data.draw(st.sets(st.integers(0, len(grid) - 1))))
    found = order_tiles(some, grid, find_depths([source]))
    assert sorted(found) == some
    if depth == 1:
        assert list(found) == some
    places = []
    for index in found:
        tile = grid[index]
        *outer, z = tile.plane
        places.append((*outer, z // depth, tile.write[0].start, tile.write[1].start))
    # never again once it was left
    assert places == sorted(places)


@pytest.fixture
def image(tmp_path):
    """Return an array of three planes, each of 3 x 3 chunks of 32 pixels."""
    pixels = np.random.default_rng(0).poisson(90, (3, 70, 75)).astype(np.uint16)
    layout = Layout(Axes.of("zyx", pixels.shape), pixels.dtype, 3, 32, "auto")
    create_arrays(tmp_path, layout, {})
    LocalFiles(tmp_path).open_array(0)[:] = pixels
    return tmp_path / "0", pixels


def read(path, rows, columns):
    return open_source(path, axes="zyx").read((1,), rows, columns)[0]


@pytest.mark.parametrize(
    "place", [(slice(0, 32), slice(32, 64)), (slice(64, 70), slice(70, 75))]
)
def test_what_lies_in_one_chunk_is_read_without_zarr(image, place, monkeypatch):
    path, pixels = image
    monkeypatch.setattr(zarr.Array, "__getitem__", None)
    np.testing.assert_array_equal(read(path, *place), pixels[1, *place])


def test_a_chunk_that_is_gone_reads_as_zeros(image):
    path, _ = image
    (path / "c" / "1" / "0" / "0").unlink()
    assert not read(path, slice(0, 32), slice(0, 32)).any()


@pytest.mark.parametrize("byte", [2, 4, 5, 30, -2])
def test_zarr_says_what_is_wrong_with_a_damaged_chunk(image, byte):
    path, _ = image
    file = path / "c" / "1" / "0" / "0"
    data = bytearray(file.read_bytes())
    data[byte] ^= 0x55
    file.write_bytes(data)
    with pytest.raises(SourceError, match=r"plane z=1 .* cannot be read: .*checksum"):
        read(path, slice(0, 32), slice(0, 32))
