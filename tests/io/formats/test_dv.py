"""DV files of DeltaVision, against the library that reads them."""

import numpy as np
import pytest

from benchmarks.faults_campaign.instrument_files import write_dv
from napari_structsr.core.axes import Axis, Channel
from napari_structsr.core.optics import Optics
from napari_structsr.errors import SourceError
from napari_structsr.io.open import open_source

mrc = pytest.importorskip("mrc")


@pytest.fixture
def path(tmp_path, rng):
    pixels = rng.integers(0, 4000, (2, 3, 20, 24), np.uint16)
    return write_dv(tmp_path / "cells.dv", pixels)


def test_a_stack_as_the_library_reads_it(path, whole):
    with mrc.DVFile(path) as file:
        sizes, expected, lens = dict(file.sizes), file.asarray(), file.lens
    assert sizes == {"C": 2, "T": 1, "Z": 3, "Y": 20, "X": 24}
    assert "100X/1.35" in lens
    source = open_source(path)
    assert source.spec.axes.items == (
        Axis("c", 2),
        Axis("z", 3, pytest.approx(0.3), 0.0, "micrometer"),
        Axis("y", 20, pytest.approx(0.14), 0.0, "micrometer"),
        Axis("x", 24, pytest.approx(0.13), 0.0, "micrometer"),
    )
    assert source.spec.channels == (
        Channel("525 nm", optics=Optics(1.35, 0.525)),
        Channel("632 nm", optics=Optics(1.35, 0.632)),
    )
    assert (whole(source)[:, :, 0] == expected).all()
    source.close()


def test_a_file_cut_short_is_damaged(path):
    data = path.read_bytes()
    for size in (200, 1024, len(data) - 7):
        path.write_bytes(data[:size])
        with pytest.raises(SourceError, match=r"cells\.dv"):
            open_source(path)


def test_an_mrc_of_electron_microscopy_is_refused_with_what_helps(tmp_path):
    path = tmp_path / "a.mrc"
    head = bytearray(1024)
    head[208:212] = b"MAP "
    path.write_bytes(head)
    with pytest.raises(SourceError, match="mrc2tif"):
        open_source(path)
