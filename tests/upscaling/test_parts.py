"""One result made by several commands, each a part of it, without a scheduler."""

import numpy as np
import pytest
import tifffile

from napari_structsr import (
    Cancel,
    OmeZarrSink,
    TiffSink,
    UpscaleSettings,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.core.part import RunPart
from napari_structsr.engine.events import Cancelled, Noted, Progressed, Started
from napari_structsr.errors import BusyError, SettingsError, SinkError

SETTINGS = UpscaleSettings(device="cpu", precision="float32", agreement="noise")
KINDS = [(OmeZarrSink, "{}.ome.zarr"), (TiffSink, "{}.ome.tif")]


@pytest.fixture
def image(tmp_path, stack):
    path = tmp_path / "in.tif"
    planes = np.concatenate([stack.reshape(4, 96, 112)] * 2)[:5]
    tifffile.imwrite(path, planes, metadata={"axes": "ZYX"})
    return path


def run(image, sink, **options):
    model = load_model("faithful", factor=2)
    return iter_upscale(open_source(image), model, sink, settings=SETTINGS, **options)


def read_tree(path):
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in files
        if file.is_file()
    }


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_the_last_part_finishes_the_result(tmp_path, image, kind, name):
    plain = result_of(run(image, kind(tmp_path / name.format("plain"))))
    path = tmp_path / name.format("parts")
    ends = {}
    for number in (2, 3, 1):
        events = list(run(image, kind(path, part=RunPart(number, 3))))
        ends[number] = events[-1].output
        tiles = [e for e in events if getattr(e, "doing", "") == "upscaling"]
        assert [event.done for event in tiles] == list(range(1, len(tiles) + 1))
        said = [e.message for e in events if isinstance(e, Noted)]
        assert bool(said) == (number != 1)
    assert ends == {2: None, 3: None, 1: path}
    assert read_tree(path) == read_tree(plain)
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_the_command_without_part_finishes_what_parts_have_left(tmp_path, image):
    plain = result_of(run(image, OmeZarrSink(tmp_path / "plain.ome.zarr")))
    path = tmp_path / "parts.ome.zarr"
    result_of(run(image, OmeZarrSink(path, part=RunPart(2, 2))))
    started = next(iter(run(image, OmeZarrSink(path))))
    assert isinstance(started, Started)
    assert started.plan.done == 3
    assert read_tree(result_of(run(image, OmeZarrSink(path)))) == read_tree(plain)


def test_parts_run_beside_each_other_and_not_beside_themselves(tmp_path, image):
    plain = result_of(run(image, OmeZarrSink(tmp_path / "plain.ome.zarr")))
    path = tmp_path / "parts.ome.zarr"
    one = run(image, OmeZarrSink(path, part=RunPart(1, 2)))
    assert isinstance(next(one), Started)
    # while that one holds its lock
    with pytest.raises(BusyError, match="another run"):
        result_of(run(image, OmeZarrSink(path, part=RunPart(1, 2))))
    with pytest.raises(BusyError, match="another run"):
        result_of(run(image, OmeZarrSink(path)))
    assert result_of(run(image, OmeZarrSink(path, part=RunPart(2, 2)))) is None
    assert result_of(one) == path
    assert read_tree(path) == read_tree(plain)


def test_a_part_goes_on_where_it_was_stopped(tmp_path, image):
    path = tmp_path / "parts.ome.zarr"
    cancel = Cancel()
    for event in run(image, OmeZarrSink(path, part=RunPart(1, 2)), cancel=cancel):
        if isinstance(event, Progressed):
            cancel()
        last = event
    assert isinstance(last, Cancelled)
    # whatever a sibling has just begun to write is left alone
    torn = path / "0" / "c" / "x.partial"
    torn.write_bytes(b"")
    again = next(iter(run(image, OmeZarrSink(path, part=RunPart(1, 2)))))
    assert again.plan.done >= 1
    assert torn.exists()


def test_parts_of_another_run_are_refused(tmp_path, image):
    path = tmp_path / "parts.ome.zarr"
    result_of(run(image, OmeZarrSink(path, part=RunPart(1, 2))))
    other = OmeZarrSink(path, part=RunPart(2, 2))
    model = load_model("bicubic", factor=2)
    with pytest.raises(SinkError, match="differs in"):
        result_of(iter_upscale(open_source(image), model, other, settings=SETTINGS))
    with pytest.raises(SinkError, match="delete the old result first"):
        OmeZarrSink(path, part=RunPart(2, 2), overwrite=True)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "1/999999"])
def test_a_part_that_is_none_is_refused_with_what_to_give(text):
    with pytest.raises(SettingsError, match="such as 1/8"):
        RunPart.parse(text)


@pytest.mark.parametrize(("total", "count"), [(0, 3), (7, 3), (2, 5), (12, 4)])
def test_parts_share_all_tiles_and_none_twice(total, count):
    shares = [RunPart(number, count).own(total) for number in range(1, count + 1)]
    assert [index for share in shares for index in share] == list(range(total))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
