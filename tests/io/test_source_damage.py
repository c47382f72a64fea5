"""Paths and TIFF files that are missing, damaged, cut off or of another kind."""

import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_structsr.errors import ModelError, SourceError
from napari_structsr.io.foreign_weights import read_foreign
from napari_structsr.io.open import open_source


@pytest.fixture
def stack(rng):
    return rng.integers(0, 4000, (6, 32, 40), np.uint16)


def cut(path, size):
    """Keep the first `size` bytes of a file, or all but the last -`size`."""
    data = path.read_bytes()
    path.write_bytes(data[:size])
    return path


def refused(path, words):
    with pytest.raises(SourceError, match=words) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)
    return caught.value


def test_missing_path_suggests_the_one_that_is_there(tmp_path, stack):
    tifffile.imwrite(tmp_path / "cells.tif", stack)
    refused(tmp_path / "cell.tif", "does not exist.*did you mean cells.tif")
    refused(tmp_path / "none" / "cell.tif", "there is no folder")
    refused("", "give the path of an image")


def test_empty_file(tmp_path):
    (tmp_path / "a.tif").touch()
    refused(tmp_path / "a.tif", r"is empty \(0 bytes\); copy it again")


@pytest.mark.parametrize("head", [b"hello", b"I"])
def test_files_of_another_kind(tmp_path, head):
    (tmp_path / "a.tif").write_bytes(head + bytes(100))
    refused(tmp_path / "a.tif", "TIFF .*OME-Zarr.* are read")


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_pictures_that_are_damaged(tmp_path, head):
    (tmp_path / "a.tif").write_bytes(head + bytes(100))
    refused(tmp_path / "a.tif", "(not|cannot be) read.*(copy the image|write it) again")


def test_an_address_of_a_local_file():
    refused("file:///a.tif", "a local file by its path")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs rights")
def test_a_file_that_may_not_be_read(tmp_path, stack):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack)
    path.chmod(0)
    refused(path, "check that it exists and that you may read it")


def test_a_file_that_cannot_be_read(tmp_path, stack, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack)

    def denied(*args, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(tifffile, "TiffFile", denied)
    error = refused(path, r"Permission denied.*; check that it exists")
    assert isinstance(error.__cause__, PermissionError)


def test_header_without_pages(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\0\0\0\0")
    refused(tmp_path / "a.tif", "is damaged or no image")


KINDS = {
    "plain": {"photometric": "minisblack"},
    "compressed": {"photometric": "minisblack", "compression": "zlib"},
    "tiled": {"photometric": "minisblack", "compression": "lzw", "tile": (16, 16)},
    "big": {"photometric": "minisblack", "bigtiff": True},
    "big-endian": {"photometric": "minisblack", "byteorder": ">"},
    "bare": {"photometric": "minisblack", "metadata": None, "contiguous": False},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "ome-compressed": {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.003, 0.02, 0.3, 0.6, 0.9, 0.97])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, stack, kind, part):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, **KINDS[kind])
    cut(path, int(path.stat().st_size * part))
    refused(path, "damaged.*; copy the file again from where it came from")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_at_any_byte_is_refused_or_read_whole(tmp_path, stack, kind):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack[:3, :8, :8], **KINDS[kind])
    data, before = path.read_bytes(), open_source(path).spec
    read = 0
    for size in range(len(data) - 60, len(data)):
        path.write_bytes(data[:size])
        try:
            source = open_source(path)
        except SourceError:
            continue
        assert source.spec == before
        for z in range(3):
            assert (
                source.read((z,), slice(0, 8), slice(0, 8)) == stack[z, :8, :8]
            ).all()
        read += 1
    assert read < 60


@pytest.mark.parametrize("announced", [6, 7])
def test_imagej_with_one_directory(tmp_path, stack, announced):
    """ImageJ writes stacks beyond 4 GB with a single directory."""
    path = tmp_path / "a.tif"
    text = f"ImageJ=1.54\nimages={announced}\nslices={announced}\nunit=um\n"
    tifffile.imwrite(path, stack[0], description=text, metadata=None)
    with path.open("r+b") as file:
        with tifffile.TiffFile(path) as tif:
            tag = tif.pages.first.tags["StripOffsets"]
        start = file.seek(0, os.SEEK_END)
        file.write(stack.tobytes())
        file.seek(tag.valueoffset)
        file.write(struct.pack("<I", start))
    if announced == 6:
        source = open_source(path)
        assert source.spec.axes.shape == (6, 32, 40)
        assert (source.read((5,), slice(0, 32), slice(0, 40))[0] == stack[5]).all()
    else:
        refused(path, "truncated.*; copy the file again")


def test_ome_that_announces_more_planes_than_there_are(tmp_path, stack):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, compression="zlib")
    xml = tifffile.tiffcomment(path)
    tifffile.tiffcomment(path, xml.replace('SizeZ="6"', 'SizeZ="9"').encode())
    refused(path, "9 planes are announced, 6 are there; copy the file again")


def test_damaged_ome_xml(tmp_path, stack):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"})
    xml = tifffile.tiffcomment(path)
    tifffile.tiffcomment(path, xml.replace("<Pixels", "<Pixel").encode())
    refused(path, "OME-XML .* is damaged .*; write the file again")


@pytest.mark.parametrize("codec", ["zlib", "lzw"])
def test_pixels_that_cannot_be_decoded_name_file_and_plane(tmp_path, stack, codec):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", compression=codec)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[4]
        start, count = page.dataoffsets[0], page.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    source = open_source(path)
    assert (source.read((3,), slice(0, 32), slice(0, 40))[0] == stack[3]).all()
    with pytest.raises(SourceError, match=r"plane z=4 of .*a\.tif .*; check") as caught:
        source.read((4,), slice(0, 32), slice(0, 40))
    assert caught.value.__cause__ is not None


def test_a_file_that_vanishes_while_it_is_read(tmp_path, stack):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    source = open_source(path)
    path.unlink()
    with pytest.raises(SourceError, match=r"plane z=0 of .*a\.tif cannot be read"):
        source.read((0,), slice(0, 32), slice(0, 40))


def test_one_damaged_file_of_many(tmp_path, stack):
    for number, plane in enumerate(stack):
        tifffile.imwrite(tmp_path / f"{number}.tif", plane)
    cut(tmp_path / "3.tif", 900)
    refused(tmp_path / "*.tif", r"3\.tif is damaged")


@pytest.mark.parametrize("dialect", ["ome", "plain"])
@pytest.mark.parametrize("part", [0.5, 0.85, 0.95])
def test_a_pyramid_cut_off_anywhere_is_refused(tmp_path, stack, dialect, part):
    path = tmp_path / "a.tif"
    options = {"photometric": "minisblack", "tile": (16, 16)}
    with tifffile.TiffWriter(path, ome=dialect == "ome") as file:
        meta = {"axes": "ZYX"} if dialect == "ome" else {}
        file.write(stack, subifds=1, metadata=meta, **options)
        file.write(stack[:, ::2, ::2], subfiletype=1, **options)
    assert open_source(path, level=1).spec.axes.shape == (6, 16, 20)
    cut(path, int(path.stat().st_size * part))
    refused(path, "damaged.*; copy the file again from where it came from")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have names on POSIX alone")
def test_pipes_and_devices_are_no_images(tmp_path):
    """Nobody writes to the pipe: its reader would wait for ever."""
    pipe = tmp_path / "a.tif"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        refused(path, "pipe, a socket or a device")
    with pytest.raises(SourceError, match="no file matches"):
        open_source(tmp_path / "*.tif")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "b.tif"))
        refused(tmp_path / "b.tif", "cannot be opened")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have names on POSIX alone")
def test_weights_are_not_read_from_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(ModelError, match="pipe, a socket or a device"):
        read_foreign(tmp_path / "a.pth")


@pytest.mark.parametrize("bigtiff", [False, True])
def test_pages_that_lead_back_to_earlier_ones(tmp_path, stack, bigtiff):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as file:
        for plane in stack[:3]:
            file.write(plane, contiguous=False)
    with tifffile.TiffFile(path) as file:
        offsets = [page.offset for page in file.pages]
        form, tags = file.tiff, len(file.pages[-1].tags)
    data = bytearray(path.read_bytes())
    last = offsets[-1] + form.tagnosize + tags * form.tagsize
    data[last : last + form.offsetsize] = struct.pack(form.offsetformat, offsets[1])
    path.write_bytes(data)
    refused(path, "leads back to an earlier one; copy the file again")
