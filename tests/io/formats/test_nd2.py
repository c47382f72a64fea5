"""ND2 files: what the library returns becomes axes, channels and positions.

Real files of Nikon are compared by benchmarks/formats.py.
"""

import struct
import sys
from types import SimpleNamespace as Entry

import numpy as np
import pytest

from benchmarks.faults_campaign.instrument_files import write_nd2
from napari_structsr.core.axes import Axis, Channel
from napari_structsr.core.optics import Optics
from napari_structsr.errors import MemoryShortageError, SettingsError, SourceError
from napari_structsr.io.open import list_images, open_source


class FakeFile:
    """Has the members of `nd2.ND2File` that are used."""

    def __init__(self, pixels, names):
        self.pixels, self.closed = pixels, False
        self.sizes = dict(zip("TPZCYX", pixels.shape, strict=True))
        self.dtype = pixels.dtype
        points = [Entry(name=name) for name in names]
        period = Entry(periodMs=0.0, periodDiff=Entry(avg=2500.0))
        self.experiment = [
            Entry(type="TimeLoop", parameters=period),
            Entry(type="XYPosLoop", parameters=Entry(points=points)),
        ]
        self.metadata = Entry(channels=[self.make("DAPI", 461), self.make("GFP", 0)])

    def make(self, name, emission):
        return Entry(
            channel=Entry(
                name=name, color=Entry(r=0, g=255, b=16), emissionLambdaNm=emission
            ),
            microscope=Entry(
                objectiveNumericalAperture=1.2, modalityFlags=["spinningDiskConfocal"]
            ),
            volume=Entry(axesCalibrated=(True, True, False)),
        )

    def voxel_size(self):
        return 0.1, 0.2, 1.0

    def read_frame(self, number):
        frames = self.pixels.reshape(-1, *self.pixels.shape[3:])
        return frames[number].squeeze()

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 4000, (2, 3, 2, 2, 16, 20), np.uint16)


@pytest.fixture
def path(tmp_path, pixels, monkeypatch):
    library = Entry(ND2File=lambda path: FakeFile(pixels, ["A1", "A1", "B2"]))
    monkeypatch.setitem(sys.modules, "nd2", library)
    path = tmp_path / "cells.nd2"
    path.write_bytes(b"\xda\xce\xbe\x0a" + bytes(64))
    return path


def test_positions_axes_and_channels(path, pixels, whole):
    assert [entry.name for entry in list_images(path)] == ["A1", "A1", "B2"]
    source = open_source(path, series=1)
    assert source.spec.axes.items == (
        Axis("t", 2, 2.5, 0.0, "second"),
        Axis("z", 2),
        Axis("c", 2),
        Axis("y", 16, 0.2, 0.0, "micrometer"),
        Axis("x", 20, 0.1, 0.0, "micrometer"),
    )
    assert source.spec.channels == (
        Channel("DAPI", "00FF10", optics=Optics(1.2, 0.461, confocal=True)),
        Channel("GFP", "00FF10"),
    )
    # the loops of a source are t, c, z
    assert (whole(source)[:, :, :, 0] == pixels[:, 1].transpose(0, 2, 1, 3, 4)).all()
    part = source.read((1, 0, 1), slice(2, 5), slice(7, 9))
    assert (part[0] == pixels[1, 1, 1, 0, 2:5, 7:9]).all()
    again = open_source(source.origin, **source.options)
    assert again.spec == source.spec
    with pytest.raises(SettingsError, match="2 images that are called A1"):
        open_source(path, series="A1")


def test_a_frame_is_read_once_for_all_its_tiles(path, pixels, monkeypatch):
    read = []
    original = FakeFile.read_frame

    def count(self, number):
        read.append(number)
        return original(self, number)

    monkeypatch.setattr(FakeFile, "read_frame", count)
    source = open_source(path)
    for top in range(0, 16, 4):
        for channel in range(2):
            source.read((0, channel, 0), slice(top, top + 4), slice(0, 20))
    assert read == [0]


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_bytes_as_the_library_reads_it(tmp_path, rng, whole, packed):
    nd2 = pytest.importorskip("nd2")
    pixels = rng.integers(0, 4000, (2, 2, 3, 16, 20, 2), np.uint16)
    path = write_nd2(tmp_path / "a.nd2", pixels, packed=packed)
    with nd2.ND2File(path) as file:
        expected, sizes = file.asarray(), file.sizes
    assert "".join(sizes) == "PTZCYX"
    source = open_source(path, series="at 1")
    assert (whole(source)[:, :, :, 0] == expected[1].transpose(0, 2, 1, 3, 4)).all()
    assert source.spec.axes["z"].scale == pytest.approx(0.3)
    assert source.spec.channels[0].optics == Optics(1.2, 0.525)
    source.close()


def test_a_part_that_names_more_bytes_than_there_can_be(tmp_path, rng):
    pytest.importorskip("nd2")
    pixels = rng.integers(0, 4000, (1, 1, 1, 16, 20, 1), np.uint16)
    path = write_nd2(tmp_path / "a.nd2", pixels, packed=True)
    data = path.read_bytes()
    for part, error in (
        (b"ImageAttributesLV!", MemoryShortageError),
        (b"ImageDataSeq|0!", SourceError),
    ):
        changed = bytearray(data)
        # the length stands before the name
        struct.pack_into("<Q", changed, data.index(part) - 8, 2**50)
        path.write_bytes(changed)
        with pytest.raises(error, match="more memory than there is"):
            open_source(path).read((), slice(0, 16), slice(0, 20))
