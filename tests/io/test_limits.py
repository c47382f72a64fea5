"""What files of strangers ask for is looked at before memory or time is taken."""

import os

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from pydantic import ValidationError

from napari_structsr.errors import AxesError, ModelError, SourceError, TrainingError
from napari_structsr.io import limits
from napari_structsr.io.formats.image_folders import find_images
from napari_structsr.io.limits import find_excess, read_text
from napari_structsr.io.open import open_source
from napari_structsr.models import build
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard
from napari_structsr.training.recipe import read_recipe
from napari_structsr.training.settings import TrainingSettings


def test_cards_that_describe_endless_networks():
    card = {
        "name": "a",
        "description": "",
        "architecture": "residual-generator",
        "factor": 2,
        "psf_sigma": 0.5,
        "options": {"width": 32, "blocks": 10**9},
    }
    with pytest.raises(ModelError, match=r"options\.blocks.*4096"):
        ModelCard.parse(card, origin="a.json")
    assert ModelCard.parse({**card, "options": {"blocks": 8}}, origin="a.json")


@pytest.mark.parametrize("architecture", ["residual-generator", "srresnet", "rrdb"])
def test_networks_too_large_for_any_machine_are_not_begun(architecture, monkeypatch):
    monkeypatch.setattr(build, "PARAMETERS", 1_000_000)
    options = {"width": 64, "blocks": 4096}
    with pytest.raises(ModelError, match="more than 1000000 weights; restore"):
        build_network(architecture, factor=2, options=options)
    # and no other network is counted with it
    assert build_network(architecture, factor=2, options={"width": 8, "blocks": 2})


@pytest.mark.parametrize(
    "changes", [{"batch": 10**12}, {"patch": 10**6}, {"megapixels": float("inf")}]
)
def test_recipes_that_never_end(changes):
    with pytest.raises(TrainingError, match=next(iter(changes))):
        read_recipe("faithful-x2", **changes)


@pytest.mark.parametrize("minutes", [float("inf"), float("nan"), 1e9])
def test_trainings_of_more_than_four_weeks(minutes):
    with pytest.raises(ValidationError, match=r"minutes|number"):
        TrainingSettings(minutes=minutes)


def test_names_of_any_length_are_cut(tmp_path):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["n" * 100_000, "b"]}}
    tifffile.imwrite(
        path, np.zeros((2, 32, 32), np.uint16), metadata=metadata, ome=True
    )
    names = [channel.name for channel in open_source(path).spec.channels]
    assert names == ["n" * limits.NAME_LENGTH, "b"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have names on POSIX alone")
def test_a_companion_that_is_a_pipe_is_not_waited_for(tmp_path):
    stack = np.zeros((2, 32, 32), np.uint16)
    paths = [tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"]
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="I">'
        '<Pixels ID="P" DimensionOrder="XYZCT" Type="uint16" SizeX="32" SizeY="32" '
        'SizeZ="2" SizeC="1" SizeT="1">'
        + "".join(
            f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1">'
            f'<UUID FileName="{path.name}">urn:uuid:{z}</UUID></TiffData>'
            for z, path in enumerate(paths)
        )
        + "</Pixels></Image></OME>"
    )
    tifffile.imwrite(paths[0], stack[0], description=text, metadata=None)
    os.mkfifo(paths[1])
    with pytest.raises(SourceError, match=r"names .*b\.ome\.tif as a part of it"):
        open_source(paths[0])
    # as the message asks
    paths[1].unlink()
    tifffile.imwrite(paths[1], stack[1], description=text, metadata=None)
    assert open_source(paths[0]).spec.axes.shape == (2, 32, 32)


def test_texts_are_read_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "TEXT_BYTES", 10)
    path = tmp_path / "a.json"
    path.write_bytes(b"1\r\n2")
    assert read_text(path) == "1\n2"
    path.write_bytes(bytes(11))
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_text(path)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)


def test_what_one_piece_may_unpack_to():
    # an empty plane of 16384 x 16384, packed as well as deflate and LZW can
    assert find_excess(2**29 // 1032, 2**29) is None
    assert find_excess(2**29 // 1365, 2**29) is None
    assert find_excess(1, limits.FREE_PIECE_BYTES) is None
    assert "which no image needs" in find_excess(46_000, 2**30)
    assert "in one piece" in find_excess(2**32, 2**33)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have names on POSIX alone")
def test_pipes_inside_a_zarr_are_not_waited_for(tmp_path):
    path = tmp_path / "a.zarr"
    stack = np.ones((2, 32, 32), np.uint16)
    zarr.create_array(path, data=stack, chunks=(1, 32, 32))
    (path / "c/1/0/0").unlink()
    os.mkfifo(path / "c/1/0/0")
    source = open_source(path)
    assert source.read((0,), slice(0, 32), slice(0, 32)).all()
    for ask in (
        source.fingerprint,
        lambda: source.read((1,), slice(0, 32), slice(0, 32)),
    ):
        with pytest.raises(SourceError, match=r"1/0/0 cannot be read \(it is a pipe"):
            ask()
    os.mkfifo(path / ".zattrs")
    with pytest.raises(SourceError, match=r"\.zattrs is no file"):
        open_source(path)


def test_more_planes_than_anybody_takes(tmp_path):
    zarr.create_array(
        tmp_path / "a.zarr", shape=(10**6, 10**6, 8, 8), dtype="u1", chunks=(1, 1, 8, 8)
    )
    with pytest.raises(AxesError, match="has 1000000000000 planes, and up to 16777216"):
        open_source(tmp_path / "a.zarr")
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 8, 8), np.uint8), ome=True)
    text = tifffile.tiffcomment(path)
    for entry, number in (
        ('SizeZ="1"', "999999999"),
        ('SizeZ="1"', "9" * 4000),
        ('PlaneCount="2"', "2147483648"),
        ('PlaneCount="2"', " +2147483648 "),
        ('SizeX="8"', "9999999999"),
    ):
        changed = f'{entry.partition("=")[0]}="{number}"'
        assert entry in text
        tifffile.tiffcomment(path, text.replace(entry, changed))
        with pytest.raises(SourceError, match="announces more planes than"):
            open_source(path)


def test_images_for_training_are_checked_before_they_are_unpacked(tmp_path):
    """Imagecodecs would end the program."""
    folder = tmp_path / "source"
    folder.mkdir()
    good = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    tifffile.imwrite(folder / "a.tif", good, compression="lzw")
    packed = bytearray(imagecodecs.lzw_encode(bytes(8192)))
    packed[1] = 120
    tifffile.imwrite(
        folder / "b.tif",
        iter([bytes(packed)]),
        shape=(64, 64),
        dtype=np.uint16,
        rowsperstrip=64,
        compression="lzw",
    )
    whole, damaged = find_images(tmp_path)
    ((name, pixels),) = whole.planes(1)
    assert name == "a.tif"
    assert (pixels == good).all()
    with pytest.raises(SourceError, match=r"source/b\.tif cannot be read.*for nothing"):
        list(damaged.planes(1))
