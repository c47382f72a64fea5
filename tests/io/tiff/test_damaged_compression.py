"""Damage and bombs in compressed strips end in a sentence, never the program."""

import contextlib
import struct
import tracemalloc

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_structsr.errors import SourceError
from napari_structsr.io.open import open_source
from napari_structsr.io.tiff import codec_trial, decoding
from napari_structsr.io.tiff.codec_trial import CodecTrial
from napari_structsr.io.tiff.lzw import find_lzw_fault

# the second byte of an empty image is damaged: imagecodecs dies of each of these
DEADLY = [(1, 104), (1, 116), (1, 120), (1, 126), (1, 127)]


def write_strip(path, pixels, packed, **options):
    """Write a TIFF of one strip, with bytes of one's own."""
    tifffile.imwrite(
        path,
        iter([packed]),
        shape=pixels.shape,
        dtype=pixels.dtype,
        rowsperstrip=len(pixels),
        photometric="minisblack",
        **options,
    )
    return path


def read_whole(path):
    source = open_source(path)
    rows, columns = source.spec.axes.plane
    return source.read((), slice(0, rows), slice(0, columns))[0]


@pytest.mark.parametrize(("place", "value"), DEADLY)
def test_a_damaged_byte_of_lzw_does_not_end_the_program(tmp_path, place, value):
    pixels = np.zeros((64, 64), np.uint16)
    packed = bytearray(imagecodecs.lzw_encode(pixels.tobytes()))
    packed[place] = value
    path = write_strip(tmp_path / "a.tif", pixels, bytes(packed), compression="lzw")
    with pytest.raises(SourceError, match=r"the code \d+ stands for nothing.*copy it"):
        read_whole(path)


def test_lzw_of_the_other_bit_order_is_looked_at_as_well(tmp_path):
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    packed = bytearray(imagecodecs.lzw_encode(pixels.tobytes()))
    path = tmp_path / "a.tif"
    for fault in (False, True):
        if fault:
            packed[1] = 120
        turned = imagecodecs.bitorder_encode(bytes(packed))
        write_strip(
            path,
            pixels,
            turned,
            compression="lzw",
            extratags=[(65000, 3, 1, 2, True)],
        )
        # it is the FillOrder, which tifffile does not write
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.filehandle.seek(file.pages.first.tags[65000].offset)
            file.filehandle.write(struct.pack("<H", 266))
        if fault:
            with pytest.raises(SourceError, match="stands for nothing"):
                read_whole(path)
        else:
            assert (read_whole(path) == pixels).all()


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=400), st.integers(1, 60))
def test_whatever_is_packed_as_lzw_counts_as_whole(part, times):
    packed = imagecodecs.lzw_encode(part * times)
    assert find_lzw_fault(packed) is None
    # writers leave out the end code, and pad what is left of the last byte or word
    assert find_lzw_fault(packed + b"\0\0") is None
    assert bytes(imagecodecs.lzw_decode(packed)) == part * times


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=2, max_size=200), st.integers(0, 1))
def test_what_passes_as_lzw_can_be_decoded(data, clear):
    """Imagecodecs itself is the oracle: were it given the rest, it would die."""
    # as every encoder begins, or with the first code of a table
    data = b"\x80" + data if clear else data
    if find_lzw_fault(data) is None:
        with contextlib.suppress(RuntimeError):
            imagecodecs.lzw_decode(data, out=100_000)


def test_tables_that_end_early_or_never(rng):
    """Codes grow, and tables begin anew, at the right places of long streams."""
    pixels = rng.integers(0, 4000, 300_000, np.uint16).tobytes()
    packed = bytearray(imagecodecs.lzw_encode(pixels))
    assert find_lzw_fault(bytes(packed)) is None
    # cut anywhere it is short, but no code of it is wrong
    assert find_lzw_fault(bytes(packed[:70_001])) is None
    assert find_lzw_fault(b"\x80" * 40 + b"\x40\x20" * 40) is None
    assert "overflows" in find_lzw_fault(b"\x80\x00" + bytes(9000))


def test_every_strip_is_unpacked_once(tmp_path, rng, monkeypatch):
    """Of a plane in one strip, each tile would unpack the whole plane again."""
    stack = rng.integers(0, 4000, (2, 256, 256), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stack, compression="lzw", rowsperstrip=256, photometric="minisblack"
    )
    unpacked = []
    monkeypatch.setattr(decoding, "find_lzw_fault", unpacked.append)
    source = open_source(path)
    for plane in range(2):
        for top in range(0, 256, 64):
            for left in range(0, 256, 64):
                rows, columns = slice(top, top + 64), slice(left, left + 64)
                found = source.read((plane,), rows, columns)
                assert (found[0] == stack[plane, rows, columns]).all()
    assert len(unpacked) == 2


def test_what_is_kept_of_a_file_is_bounded(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(decoding, "CACHE_BYTES", 5 * 64 * 512)
    stack = rng.integers(0, 4000, (512, 256), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stack, compression="zlib", rowsperstrip=64, photometric="minisblack"
    )
    source = open_source(path)
    store = source._array.store
    for _ in range(2):
        for top in range(0, 512, 64):
            found = source.read((), slice(top, top + 64), slice(0, 256))
            assert (found[0] == stack[top : top + 64]).all()
            assert len(store._pieces) <= 5
    assert store._bytes == 5 * 64 * 512


@pytest.mark.parametrize("kind", ["zstd", "deflate"])
def test_a_strip_that_asks_for_all_memory_is_refused(tmp_path, kind):
    packed = {
        "zstd": imagecodecs.zstd_encode,
        "deflate": imagecodecs.zlib_encode,
    }[kind](bytes(1000))
    path = tmp_path / "a.tif"
    small = np.zeros((64, 64), np.uint16)
    write_strip(path, small, packed, compression=kind)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages.first.tags[name].overwrite(60_000, dtype="I")
    source = open_source(path)
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match=r"bytes ask for 7200000000, which no"):
            source.read((), slice(0, 64), slice(0, 64))
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_codec_that_dies_is_survived(monkeypatch):
    packed = bytearray(imagecodecs.lzw_encode(bytes(8192)))
    # which codes a decoder dies of differs from version to version
    program = codec_trial._PROGRAM.replace(
        "try:", "try:\n        data[1] == 120 and die()"
    )
    dying = "import os\ndie = os.abort\n" + program
    monkeypatch.setattr(codec_trial, "_PROGRAM", dying)
    trial = CodecTrial()
    try:
        assert trial.find_fault("lzw_decode", bytes(packed)) is None
        packed[1] = 120
        assert "broke down" in trial.find_fault("lzw_decode", bytes(packed))
        # another process takes its place
        packed[1] = 0
        assert trial.find_fault("lzw_decode", bytes(packed[:1])) is not None
    finally:
        trial.close()


def test_a_codec_that_comes_to_no_end_is_ended(monkeypatch):
    monkeypatch.setattr(codec_trial, "DECODE_SECONDS", 0.2)
    monkeypatch.setattr(codec_trial, "_PROGRAM", "import time; time.sleep(600)")
    trial = CodecTrial()
    assert "broke down" in trial.find_fault("any", bytes(100))
    trial.close()


def test_jpeg_xr_is_tried_elsewhere_and_read(tmp_path):
    pixels = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint16) * 100
    path = tmp_path / "a.tif"
    packed = imagecodecs.jpegxr_encode(pixels, level=1.0)
    write_strip(path, pixels, packed, compression="jpegxr")
    assert (read_whole(path) == imagecodecs.jpegxr_decode(packed)).all()
    write_strip(path, pixels, packed[:100], compression="jpegxr")
    with pytest.raises(SourceError, match="strip or tile 0 cannot be unpacked"):
        read_whole(path)


IMAGES = {
    "jpeg": (imagecodecs.jpeg8_encode, np.uint8),
    "jpeg2000": (imagecodecs.jpeg2k_encode, np.uint16),
    "png": (imagecodecs.png_encode, np.uint16),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_in_a_tile_is_no_larger_than_the_tile(tmp_path, kind):
    encode, dtype = IMAGES[kind]
    small = np.add.outer(np.arange(64), np.arange(64)).astype(dtype)
    path = tmp_path / "a.tif"
    write_strip(path, small, encode(small), compression=kind)
    assert abs(read_whole(path).astype(int) - small).max() <= 4
    # a few kilobytes that the decoder would take hundreds of megabytes for
    large = encode(np.zeros((8192, 8192), dtype))
    write_strip(path, small, large, compression=kind)
    with pytest.raises(SourceError, match="67108864 pixels lies in the place of 4096"):
        read_whole(path)
