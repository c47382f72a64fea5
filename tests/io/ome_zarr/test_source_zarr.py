import json

import numpy as np
import pytest
import yaozarrs
import zarr
from yaozarrs import v05
from yaozarrs.write.v05 import write_image
from zarr.storage import MemoryStore, WrapperStore

from napari_structsr.core.axes import Axis, Channel
from napari_structsr.errors import AxesError, PixelError, SettingsError, SourceError
from napari_structsr.io.open import open_source


@pytest.fixture
def stack(rng):
    return rng.integers(0, 4000, (2, 3, 4, 32, 40), np.uint16)


def multiscale(levels=2, **more):
    return {
        "axes": [
            {"name": "t", "type": "time", "unit": "second"},
            {"name": "c", "type": "channel"},
            {"name": "z", "type": "space", "unit": "micrometer"},
            {"name": "y", "type": "space", "unit": "micrometer"},
            {"name": "x", "type": "space", "unit": "nanometer"},
        ],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [2.0, 1.0, 0.5, f * 0.2, f * 100.0]},
                    {"type": "translation", "translation": [0, 0, 7, f * 0.1, f * 50]},
                ],
            }
            for level, f in zip(range(levels), (1, 2, 4), strict=False)
        ],
        **more,
    }


OMERO = {
    "channels": [
        {"label": "DAPI", "color": "0000ff", "window": {"start": 1, "end": 20}},
        {"label": "GFP", "color": "#00FF00"},
        {"label": "RFP", "color": "wrong", "window": {"min": 0, "max": 9}},
    ]
}


def write(path, stack, *, version="0.5", omero=OMERO, more=None, attributes=None):
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    for level in range(2):
        data = stack[..., :: 2**level, :: 2**level]
        group.create_array(str(level), data=data, chunks=(1, 1, 1, 16, 20))
    image = multiscale(**(more or {}))
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image], "omero": omero}
    else:
        group.attrs["multiscales"] = [image | {"version": "0.4"}]
        group.attrs["omero"] = omero
    group.attrs.update(attributes or {})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, stack, whole, canonical, version):
    path = write(tmp_path / "cells.ome.zarr", stack, version=version)
    source = open_source(path)
    assert source.spec.axes.items == (
        Axis("t", 2, 2.0, 0.0, "second"),
        Axis("c", 3),
        Axis("z", 4, 0.5, 7.0, "micrometer"),
        Axis("y", 32, 0.2, 0.1, "micrometer"),
        Axis("x", 40, 100.0, 50.0, "nanometer"),
    )
    assert source.spec.channels == (
        Channel("DAPI", "0000FF", (1.0, 20.0)),
        Channel("GFP", "00FF00"),
        Channel("RFP"),
    )
    assert (source.spec.name, source.origin) == ("cells", str(path))
    assert source.chunks == (16, 20)
    assert (whole(source) == canonical(stack, "tczyx")).all()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("way", ["level", "path", "array", "group"])
def test_a_level_comes_with_its_metadata(tmp_path, stack, whole, version, way):
    path = write(tmp_path / "cells.ome.zarr", stack, version=version)
    source = {
        "level": lambda: open_source(path, level=1),
        "path": lambda: open_source(str(path / "1")),
        "array": lambda: open_source(zarr.open_group(path, mode="r")["1"]),
        "group": lambda: open_source(zarr.open_group(path, mode="r"), level=1),
    }[way]()
    assert source.spec.name == "cells"
    assert source.spec.axes["x"] == Axis("x", 20, 200.0, 100.0, "nanometer")
    assert [channel.name for channel in source.spec.channels] == ["DAPI", "GFP", "RFP"]
    assert (whole(source)[:, :, :, 0] == stack[..., ::2, ::2]).all()


def test_transforms_of_the_whole_image_come_after_those_of_the_level(tmp_path, stack):
    more = {
        "coordinateTransformations": [
            {"type": "scale", "scale": [3.0, 1, 1, 1, 10.0]},
            {"type": "translation", "translation": [5.0, 0, 0, 0, 1.0]},
        ]
    }
    path = write(tmp_path / "a.zarr", stack, more=more)
    axes = open_source(path, level=1).spec.axes
    assert axes["t"] == Axis("t", 2, 6.0, 5.0, "second")
    assert axes["x"] == Axis("x", 20, 2000.0, 1001.0, "nanometer")


def test_an_image_written_by_yaozarrs(tmp_path, stack, whole, canonical):
    image = v05.Image.model_validate(
        {"multiscales": [multiscale(1)], "omero": yaozarrs_omero()}
    )
    write_image(tmp_path / "a.ome.zarr", image, [stack], writer="zarr")
    source = open_source(tmp_path / "a.ome.zarr")
    assert source.spec.axes["y"] == Axis("y", 32, 0.2, 0.1, "micrometer")
    assert source.spec.channels[1] == Channel("two", "ABCDEF", (3.0, 4.0))
    assert (whole(source) == canonical(stack, "tczyx")).all()


def yaozarrs_omero():
    return {
        "channels": [
            {
                "label": label,
                "color": "ABCDEF",
                "window": {"start": 3, "end": 4, "min": 0, "max": 9},
            }
            for label in ("one", "two", "three")
        ]
    }


@pytest.mark.filterwarnings("ignore")  # ome-zarr warns of its own dependencies
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_written_by_ome_zarr(tmp_path, stack, whole, canonical, version):
    writer = pytest.importorskip("ome_zarr.writer")
    formats = pytest.importorskip("ome_zarr.format")
    fmt = {"0.4": formats.FormatV04, "0.5": formats.FormatV05}[version]()
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=fmt.zarr_format)
    writer.write_image(stack, group, fmt=fmt, axes="tczyx")
    source = open_source(tmp_path / "a.zarr")
    assert source.spec.axes.names == "tczyx"
    assert (whole(source) == canonical(stack, "tczyx")).all()
    assert yaozarrs.open_group(str(tmp_path / "a.zarr")).ome_version() == version


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["time", "Y", "X"], "tyx"),
        (["x", "y", "z"], "xyz"),
        (["channel", None, None], "cyx"),
        (["foo", "bar", "baz"], "zyx"),
        (None, "zyx"),
    ],
)
def test_axes_of_a_bare_array(
    tmp_path, stack, whole, canonical, zarr_format, labels, names
):
    path = tmp_path / "a.zarr"
    options = {"dimension_names": labels} if zarr_format == 3 else {}
    array = zarr.create_array(
        path, data=stack[0, 0], chunks=(1, 8, 8), zarr_format=zarr_format, **options
    )
    if zarr_format == 2 and labels:
        array.attrs["_ARRAY_DIMENSIONS"] = labels
    for image in (path, array):
        source = open_source(image)
        assert source.spec.axes.names == names
        assert source.origin == str(path)
        assert (whole(source) == canonical(stack[0, 0], names)).all()
    assert open_source(path, axes="cyx").spec.axes.names == "cyx"


def test_big_endian_and_sharded_arrays(tmp_path, stack, whole):
    zarr.create_array(
        tmp_path / "a.zarr",
        data=stack[0, 0],
        chunks=(1, 8, 8),
        shards=(2, 32, 40),
    )
    zarr.create_array(
        tmp_path / "b.zarr", data=stack[0, 0].astype(">u2"), zarr_format=2
    )
    for name in "ab":
        source = open_source(tmp_path / f"{name}.zarr")
        assert source.spec.dtype == np.dtype("=u2")
        assert source.spec.dtype.isnative
        assert (whole(source)[:, 0] == stack[0, 0]).all()
    assert open_source(tmp_path / "a.zarr").chunks == (8, 8)


class Counting(WrapperStore):
    """Counts the chunks that are fetched."""

    def __init__(self, store):
        super().__init__(store)
        self.fetched = []

    async def get(self, key, *args, **options):
        if "c/" in key:
            self.fetched.append(key)
        return await super().get(key, *args, **options)


def test_only_the_chunks_of_a_window_are_fetched(stack):
    store = Counting(MemoryStore())
    array = zarr.create_array(store, data=stack[0, 0], chunks=(1, 16, 20))
    store.fetched.clear()
    source = open_source(array)
    assert store.fetched == []
    source.read((2,), slice(0, 16), slice(0, 20))
    assert store.fetched == ["c/2/0/0"]
    assert open_source(array, name="mine").spec.name == "mine"


def test_an_unfinished_result_is_refused(tmp_path, stack):
    attributes = {"structsr": {"status": "partial", "record": {}}}
    path = write(tmp_path / "a.ome.zarr", stack, attributes=attributes)
    for image in (path, path / "0", zarr.open_group(path, mode="r")):
        with pytest.raises(
            SourceError, match=r"unfinished result.*; resume and finish"
        ):
            open_source(image)
    zarr.open_group(path).attrs["structsr"] = {"status": "finished"}
    assert open_source(path).spec.axes.names == "tczyx"


def test_no_part_of_an_unfinished_store_is_opened_by_its_own_name(tmp_path, stack):
    """As a run that was killed leaves it: levels, and no word of an image."""
    path = tmp_path / "a.ome.zarr"
    group = zarr.create_group(path, attributes={"structsr": {"status": "partial"}})
    group.create_array("0", data=stack[0, 0], chunks=(1, 16, 20))
    group.create_array("deep/1", data=stack[0, 0], chunks=(1, 16, 20))
    (tmp_path / "link.zarr").symlink_to(path / "0")
    parts = [path / "0", path / "deep" / "1", tmp_path / "link.zarr"]
    for image in (*parts, zarr.open_array(path / "0", mode="r")):
        with pytest.raises(SourceError, match=r"unfinished result.*resume and finish"):
            open_source(image)
    # finished, everything opens
    group.attrs["structsr"] = {"status": "finished"}
    for image in parts:
        assert open_source(image).spec.axes.names == "zyx"


def test_an_unfinished_store_around_a_folder_of_images_is_named(tmp_path, stack):
    zarr.create_group(
        tmp_path / "a.zarr", attributes={"structsr": {"status": "partial"}}
    )
    path = write(tmp_path / "a.zarr" / "inner.zarr", stack)
    with pytest.raises(SourceError, match=r"a part of .*a\.zarr; resume and finish"):
        open_source(path)


def test_wrong_display_hints_do_not_keep_an_image_closed(tmp_path, stack):
    for number, omero in enumerate([{}, [], {"channels": [3]}, {"channels": [{}] * 2}]):
        path = write(tmp_path / f"{number}.zarr", stack, omero=omero)
        assert open_source(path).spec.channels == ()


def test_levels_that_do_not_exist(tmp_path, stack):
    path = write(tmp_path / "a.zarr", stack)
    for level in (2, -1):
        with pytest.raises(SettingsError, match="levels 0 to 1"):
            open_source(path, level=level)
    with pytest.raises(SettingsError, match="only level 0"):
        open_source(path / "1", level=1)


def test_a_level_whose_array_is_gone(tmp_path, stack):
    path = write(tmp_path / "a.zarr", stack)
    (path / "1" / "zarr.json").unlink()
    with pytest.raises(SourceError, match=r"level 1 of .* cannot be opened"):
        open_source(path, level=1)


def test_folders_that_hold_no_image(tmp_path, stack):
    (tmp_path / "plain").mkdir()
    with pytest.raises(SourceError, match=r"holds no zarr metadata.*OME-Zarr image"):
        open_source(tmp_path / "plain")
    (tmp_path / "plain" / "a.tif").touch()
    with pytest.raises(SourceError, match=r'as a pattern, ".*plain/\*\.tif"'):
        open_source(tmp_path / "plain")
    group = zarr.create_group(tmp_path / "plate.zarr")
    group.create_array("first", data=stack)
    with pytest.raises(
        SourceError, match=r"give the path of one, such as .*zarr/first"
    ):
        open_source(tmp_path / "plate.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_damaged_metadata(tmp_path, stack, version):
    path = write(tmp_path / "a.zarr", stack, version=version)
    file = path / ("zarr.json" if version == "0.5" else ".zattrs")
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    with pytest.raises(
        SourceError, match=r"metadata .* are damaged .*; copy the image"
    ):
        open_source(path)
    file.write_text(text.replace('"scale"', '"stretch"'))
    with pytest.raises(SourceError, match=r"not valid at .*write the image again"):
        open_source(path)
    assert open_source(path / "0", axes="tczyx").spec.axes["x"] == Axis("x", 40)


def test_metadata_of_another_shape(tmp_path, stack):
    path = write(tmp_path / "a.zarr", stack)
    zarr.create_array(path / "0", data=stack[0], overwrite=True)
    with pytest.raises(SourceError, match=r"names the axes .*; write the image again"):
        open_source(path)


@pytest.mark.parametrize(
    ("array", "axes", "error", "words"),
    [
        (np.zeros((8, 9), bool), None, PixelError, "convert them to uint8"),
        (np.zeros((8, 9), "c8"), None, PixelError, "convert them to float32"),
        (np.zeros((1, 9), "u2"), None, PixelError, "holds no image"),
        (np.zeros(9, "u2"), None, AxesError, "at least the two dimensions"),
        (np.zeros((8, 9), "u2"), "zyx", AxesError, "name each dimension once"),
    ],
)
def test_bare_arrays_that_hold_no_image(tmp_path, array, axes, error, words):
    zarr.create_array(tmp_path / "a.zarr", data=array)
    with pytest.raises(error, match=words):
        open_source(tmp_path / "a.zarr", axes=axes)


def test_a_damaged_chunk_names_plane_and_path(tmp_path, stack):
    path = write(tmp_path / "a.zarr", stack)
    chunk = path / "0" / "c" / "1" / "2" / "3" / "0" / "0"
    chunk.write_bytes(b"no chunk")
    source = open_source(path)
    assert source.read((1, 2, 2), slice(0, 9), slice(0, 9)).shape == (1, 9, 9)
    with pytest.raises(
        SourceError, match=r"plane t=1, c=2, z=3 of .*a\.zarr"
    ) as caught:
        source.read((1, 2, 3), slice(0, 9), slice(0, 9))
    assert caught.value.__cause__ is not None


def test_metadata_stay_readable_json(tmp_path, stack):
    """Reading writes nothing into the store."""
    path = write(tmp_path / "a.zarr", stack)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    open_source(path).read((0, 0, 0), slice(0, 9), slice(0, 9))
    assert before == {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    assert "ome" in json.loads((path / "zarr.json").read_text())["attributes"]
