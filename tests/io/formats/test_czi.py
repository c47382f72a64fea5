"""CZI files: scenes, mosaics, colours and metadata, against czifile's own reading."""

import struct
import sys

import czifile
import imagecodecs
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.core.axes import Axis, Channel
from napari_structsr.core.optics import Optics
from napari_structsr.errors import PixelError, SourceError
from napari_structsr.io.open import list_images, open_source

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

XML = """<ImageDocument><Metadata><Information><Image><ObjectiveSettings>
<ObjectiveRef Id="Objective:2"/></ObjectiveSettings><Dimensions><Channels>
<Channel Id="Channel:0" Name="DAPI"><EmissionWavelength>465</EmissionWavelength>
<AcquisitionMode>WideField</AcquisitionMode><Color>#FF0000FF</Color></Channel>
<Channel Id="Channel:1" Name="Ch2"><DetectionWavelength><Ranges>500-560</Ranges>
</DetectionWavelength><AcquisitionMode>LaserScanningConfocalMicroscopy</AcquisitionMode>
</Channel></Channels><S><Scenes><Scene Index="0" Name="left"/>
<Scene Index="1" Name="right"/></Scenes></S><T><Positions><Interval>
<Increment>2.5</Increment></Interval></Positions></T></Dimensions></Image><Instrument>
<Objectives><Objective Id="Objective:1"><LensNA>0.3</LensNA></Objective>
<Objective Id="Objective:2"><LensNA>1.4</LensNA></Objective></Objectives></Instrument>
</Information><Scaling><Items><Distance Id="X"><Value>6.5e-08</Value></Distance>
<Distance Id="Y"><Value>7e-08</Value></Distance><Distance Id="Z"><Value>3e-07</Value>
</Distance></Items></Scaling><DisplaySetting><Channels><Channel Id="Channel:1">
<Color>#FF00FF00</Color></Channel></Channels></DisplaySetting></Metadata>
</ImageDocument>"""


def block(pixels, samples=1, stored=None, **starts):
    """Return a block whose dimensions lie at `starts`; y and x come last."""
    names = [*starts]
    sizes = [1] * (len(names) - 2) + list(pixels.shape[:2])
    dims = [
        (name, starts[name], size, size if stored is None else stored)
        for name, size in zip(names, sizes, strict=True)
    ]
    return {"dims": dims, "pixels": pixels, "samples": samples}


@pytest.fixture
def stack(rng):
    return rng.integers(0, 4000, (2, 2, 3, 24, 32), np.uint16)


def read_whole(path):
    with czifile.CziFile(path) as file:
        return file.asarray().squeeze()


def test_a_stack_as_czifile_reads_it(tmp_path, write_czi, stack, whole):
    blocks = [
        block(stack[t, c, z], T=t, C=c, Z=z, Y=0, X=0)
        for t, c, z in np.ndindex(2, 2, 3)
    ]
    source = open_source(write_czi(tmp_path / "cells.czi", blocks, XML))
    assert source.spec.axes.items == (
        Axis("t", 2, 2.5, 0.0, "second"),
        Axis("c", 2),
        Axis("z", 3, pytest.approx(0.3), 0.0, "micrometer"),
        Axis("y", 24, pytest.approx(0.07), 0.0, "micrometer"),
        Axis("x", 32, pytest.approx(0.065), 0.0, "micrometer"),
    )
    assert source.spec.channels == (
        Channel("DAPI", "0000FF", optics=Optics(1.4, 0.465)),
        Channel("Ch2", "00FF00", optics=Optics(1.4, 0.53, confocal=True)),
    )
    assert source.spec.name == "cells"
    assert (whole(source)[:, :, :, 0] == read_whole(tmp_path / "cells.czi")).all()
    part = source.read((1, 0, 2), slice(3, 9), slice(30, 32))
    assert (part[0] == stack[1, 0, 2, 3:9, 30:32]).all()
    source.close()


def test_a_mosaic_with_overlap_a_gap_and_a_pyramid(tmp_path, write_czi, rng, whole):
    tiles = rng.integers(1, 250, (3, 20, 20), np.uint8)
    blocks = [
        block(tiles[1], C=0, Y=0, X=15, M=1),
        block(tiles[0], C=0, Y=0, X=0, M=0),
        block(tiles[2], C=0, Y=20, X=0, M=2),
    ]
    for one, number in zip(blocks, (1, 0, 2), strict=True):
        sizes = [1, 20, 20, 1]
        starts = [start for _, start, _, _ in one["dims"][:3]] + [number]
        names = ("C", "Y", "X", "M")
        one["dims"] = [
            (name, start, size, size)
            for name, start, size in zip(names, starts, sizes, strict=True)
        ]
    # a coarser copy of everything
    coarse = block(np.full((20, 17), 7, np.uint8), C=0, Y=0, X=0)
    coarse["dims"] = [("C", 0, 1, 1), ("Y", 0, 40, 20), ("X", 0, 35, 17)]
    coarse["dims"].append(("M", 0, 1, 1))
    path = write_czi(tmp_path / "a.czi", [coarse, *blocks])
    expected = np.zeros((40, 35), np.uint8)
    expected[:20, :20] = tiles[0]
    expected[:20, 15:] = tiles[1]
    expected[20:, :20] = tiles[2]
    source = open_source(path)
    assert source.spec.axes.names == "yx"
    assert (whole(source)[0] == expected).all()
    part = source.read((), slice(18, 23), slice(14, 22))
    assert (part[0] == expected[18:23, 14:22]).all()


def test_scenes_are_images_with_names(tmp_path, write_czi, stack, whole):
    blocks = [
        block(stack[s, 0, z, : 24 - s], S=s, Z=z, Y=100 * s, X=0)
        for s, z in np.ndindex(2, 3)
    ]
    path = write_czi(tmp_path / "a.czi", blocks, XML)
    left, right = list_images(path)
    assert (left.name, right.name) == ("left", "right")
    assert (left.axes.shape, right.axes.shape) == ((3, 24, 32), (3, 23, 32))
    source = open_source(path, series="right")
    assert (whole(source)[:, 0] == stack[1, 0, :, :23]).all()
    assert source.spec.name == "a right"
    again = open_source(source.origin, **source.options)
    assert again.spec == source.spec


def test_colours_are_red_green_and_blue(tmp_path, write_czi, rng, whole):
    pixels = rng.integers(0, 250, (20, 24, 3), np.uint8)
    path = write_czi(tmp_path / "a.czi", [block(pixels, samples=3, Y=0, X=0)])
    source = open_source(path)
    assert source.spec.axes.names == "yxs"
    # the file holds blue first
    assert (whole(source) == pixels[..., ::-1].transpose(2, 0, 1)).all()


def test_a_line_scan_is_refused_and_its_remedy_works(tmp_path, write_czi, rng, whole):
    lines = rng.integers(0, 250, (30, 1, 40), np.uint8)
    blocks = [block(line, T=t, C=0, Y=0, X=0) for t, line in enumerate(lines)]
    path = write_czi(tmp_path / "a.czi", blocks)
    with pytest.raises(PixelError, match="--axes"):
        open_source(path)
    source = open_source(path, axes="yx")
    assert (whole(source)[0] == lines[:, 0]).all()
    found = CliRunner().invoke(app, ["info", str(path), "--axes", "yx"])
    assert found.exit_code == 0, found.output


def test_a_file_cut_short_is_damaged(tmp_path, write_czi, stack):
    path = write_czi(tmp_path / "a.czi", [block(stack[0, 0, 0], Z=0, Y=0, X=0)], XML)
    data = path.read_bytes()
    for size in (20, 300, 700, len(data) - 300):
        path.write_bytes(data[:size])
        with pytest.raises(SourceError, match=r"a\.czi"):
            open_source(path).read((), slice(0, 24), slice(0, 32))


def test_a_compression_that_is_unknown_is_refused_in_words(tmp_path, write_czi, stack):
    one = block(stack[0, 0, 0], Z=0, Y=0, X=0) | {"compression": 77}
    source = open_source(write_czi(tmp_path / "a.czi", [one], XML))
    with pytest.raises(SourceError, match=r"compression|invalid"):
        source.read((), slice(0, 24), slice(0, 32))


def make_packed(pixels, compression):
    """Return a block that is packed as CZI numbers it."""
    pack = {
        1: lambda: imagecodecs.jpeg8_encode(pixels, 95),
        2: lambda: imagecodecs.lzw_encode(pixels.tobytes()),
        4: lambda: imagecodecs.jpegxr_encode(pixels),
    }[compression]
    one = block(pixels, Z=0, Y=0, X=0)
    return one | {"compression": compression, "data": bytes(pack())}


@pytest.mark.parametrize("compression", [1, 2, 4])
def test_packed_blocks_are_read_or_refused(tmp_path, write_czi, stack, compression):
    pixels = (stack[0, 0, 0] // 16).astype(np.uint8)
    one = make_packed(pixels, compression)
    with open_source(write_czi(tmp_path / "a.czi", [one])) as source:
        found = source.read((), slice(0, 24), slice(0, 32))[0]
    # JPEG alone loses something
    assert np.abs(found.astype(int) - pixels).max() <= (8 if compression == 1 else 0)
    # codes that stand for nothing, and a head alone
    data = one["data"]
    bad = data[:1] + b"\xff" * 30 if compression == 2 else data[:40]
    path = write_czi(tmp_path / "b.czi", [one | {"data": bad}])
    with open_source(path) as source, pytest.raises(SourceError, match=r"b\.czi"):
        source.read((), slice(0, 24), slice(0, 32))


def test_a_block_that_asks_for_a_larger_image_is_refused(tmp_path, write_czi, stack):
    one = make_packed((stack[0, 0, 0] // 16).astype(np.uint8), 1)
    data = bytearray(one["data"])
    frame = data.index(b"\xff\xc0")
    struct.pack_into(">2H", data, frame + 5, 60000, 60000)
    path = write_czi(tmp_path / "a.czi", [one | {"data": bytes(data)}])
    with open_source(path) as source, pytest.raises(SourceError, match="in the place"):
        source.read((), slice(0, 24), slice(0, 32))


def test_a_library_that_is_missing_is_named_with_the_extra(
    tmp_path, write_czi, stack, monkeypatch
):
    path = write_czi(tmp_path / "a.czi", [block(stack[0, 0, 0], Z=0, Y=0, X=0)])
    monkeypatch.setitem(sys.modules, "czifile", None)
    with pytest.raises(SourceError, match=r'pip install "napari-structsr\[formats\]"'):
        open_source(path)
    found = CliRunner().invoke(app, ["info", str(path)])
    assert 'pip install "napari-structsr[formats]"' in found.output.replace("\n", " ")


def test_a_changed_file_is_noticed(tmp_path, write_czi, stack):
    blocks = [block(stack[0, 0, 0], Z=0, Y=0, X=0)]
    path = write_czi(tmp_path / "a.czi", blocks)
    source = open_source(path)
    before = source.fingerprint()
    write_czi(path, [block(stack[0, 0, 1], Z=0, Y=0, X=0)])
    with pytest.raises(SourceError, match="changed"):
        source.read((), slice(0, 24), slice(0, 32))
    assert open_source(path).fingerprint() != before


def test_it_is_upscaled(tmp_path, write_czi, stack):
    blocks = [block(stack[0, 0, z], Z=z, Y=0, X=0) for z in range(3)]
    path = write_czi(tmp_path / "a.czi", blocks, XML)
    out = tmp_path / "a.ome.tif"
    words = ["upscale", str(path), str(out), "--model", "bicubic"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    assert open_source(out).spec.axes["x"].scale == pytest.approx(0.0325)
