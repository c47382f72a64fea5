"""Writing that is killed, doubled, damaged or deleted: no result is wrong or stuck.

A forked child writes a small result through a sink, and is killed at its n-th change
of the file system. What it left must be taken by the same run, and by another one that
overwrites; both must leave what an undisturbed run leaves, and nothing beside it.
"""

import errno
import itertools
import os
import shutil
import signal
from functools import partial

import numpy as np
import pytest
import tifffile
import zarr

from napari_structsr import OmeZarrSink, TiffSink, open_source
from napari_structsr.core.axes import Axes, ImageSpec
from napari_structsr.core.record import Record
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.io.locks import lock_output
from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.io.ome_zarr.layout import make_write_grid
from napari_structsr.io.records import read_record

SPEC = ImageSpec("cells", Axes.of("zyx", (3, 40, 300)), np.dtype(np.uint16))
PIXELS = np.random.default_rng(0).integers(0, 4000, SPEC.axes.shape, np.uint16)


def record_of(name):
    source = {"origin": name, "axes": "zyx", "shape": [3, 40, 300], "options": {}}
    return Record(source, {"name": "bicubic", "factor": 2}, {}, (), (), "cpu")


def run(sink, name="one"):
    sink.check(SPEC)
    with sink.open(SPEC, record_of(name)) as writer:
        for tile in make_write_grid(SPEC.axes, sink.unit(SPEC)):
            if tile.index not in writer.done:
                writer.write(tile, PIXELS[(*tile.plane, *tile.write)][None])
        build_levels(writer)
        return writer.finish()


def build_levels(writer, rounds=None):
    """Make the coarser levels, then look at all that was written: each is a round."""
    for calls in itertools.islice(writer.passes(), rounds):
        for call in calls:
            call()


def finish(writer):
    """Do what is left of an open writer, and close it."""
    with writer:
        build_levels(writer)
        writer.finish()


def zarr_sink(folder, **options):
    return OmeZarrSink(folder / "a.ome.zarr", **options)


def tiff_sink(folder, **options):
    return TiffSink(folder / "a.ome.tif", **options)


def read(path):
    if path.suffix == ".tif":
        return tifffile.imread(path)
    return zarr.open_array(path / "0", mode="r")[:]


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.mark.parametrize("make", [zarr_sink, tiff_sink])
@pytest.mark.parametrize("again", ["same", "same, overwriting", "another"])
def test_killed_at_any_change_the_next_run_ends_as_if_undisturbed(
    tmp_path, make, again, kill_at
):
    whole = tmp_path / "whole"
    whole.mkdir()
    run(make(whole))
    options = {} if again == "same" else {"overwrite": True}
    name = "two" if again == "another" else "one"
    killed = 0
    # every few changes, and others for each kind of run
    for number in itertools.count(len(again) % 9, 9):
        folder = tmp_path / str(number)
        folder.mkdir()
        if not kill_at(number, partial(run, make(folder))):
            break
        killed += 1
        done = (folder / "a.ome.tif").exists() or (
            (folder / "a.ome.zarr" / "zarr.json").exists()
            and '"finished"' in (folder / "a.ome.zarr/zarr.json").read_text()
        )
        if done and not options:
            # whole, and said to be
            continue
        result = run(make(folder, **options), name)
        np.testing.assert_array_equal(read(result), PIXELS)
        assert tree(folder) == tree(whole)
    assert killed > 4


@pytest.mark.parametrize("make", [zarr_sink, tiff_sink])
def test_killed_while_it_overwrites_the_next_run_ends_as_if_undisturbed(
    tmp_path, make, kill_at
):
    killed = 0
    for number in itertools.count(0, 9):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(make(folder))
        before = tree(folder)
        if not kill_at(number, partial(run, make(folder, overwrite=True), "two")):
            break
        killed += 1
        # a third one: what the second has left is of no use to it
        result = run(make(folder, overwrite=True), "three")
        np.testing.assert_array_equal(read(result), PIXELS)
        assert tree(folder) == before
    assert killed > 4


def test_an_image_that_is_saved_over_another_is_never_lost(tmp_path, kill_at):
    new = PIXELS[0] + 1
    for number in itertools.count(0, 3):
        path = write_image(open_source(PIXELS[0]), tmp_path / f"{number}.zarr")
        save = partial(write_image, open_source(new), path, overwrite=True)
        if not kill_at(number, save):
            break
        # a run that is refused has swept first, and brought back what was moved
        with pytest.raises(SinkError, match="exists already"):
            run(OmeZarrSink(path))
        found = zarr.open_array(path / "0", mode="r")[:]
        assert (found == PIXELS[0]).all() or (found == new).all()
    assert number > 10


# two runs


def begin(sink, name="one", tiles=1):
    """Open a sink, write some tiles, and return the writer, still open."""
    writer = sink.open(SPEC, record_of(name))
    writer.__enter__()
    for tile in itertools.islice(make_write_grid(SPEC.axes, sink.unit(SPEC)), tiles):
        writer.write(tile, PIXELS[(*tile.plane, *tile.write)][None])
    return writer


@pytest.mark.parametrize("make", [zarr_sink, tiff_sink])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_second_run_is_refused_at_once_and_told_who_writes(tmp_path, make, overwrite):
    first = begin(make(tmp_path))
    before = tree(tmp_path)
    second = make(tmp_path, overwrite=overwrite)
    for refused in (
        lambda: second.check(SPEC),
        # it may have been checked before the first one began
        lambda: second.open(SPEC, record_of("two")),
    ):
        with pytest.raises(SinkError, match=rf"process {os.getpid()} on .*wait until"):
            refused()
    assert tree(tmp_path) == before
    first.__exit__(None, None, None)
    # the way out that was named: it has ended
    np.testing.assert_array_equal(read(run(make(tmp_path))), PIXELS)


def test_the_lock_of_a_dead_process_does_not_block(tmp_path, kill_at):
    path = tmp_path / "a.json"

    def hold():
        with lock_output(path):
            (tmp_path / "held").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    assert kill_at(999, hold)
    assert (tmp_path / ".a.json.lock").exists()
    with lock_output(path):
        pass
    assert tree(tmp_path) == ["held"]


def test_a_file_system_without_locks_still_lets_one_run_write(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    path = tmp_path / "a.json"
    with lock_output(path), pytest.raises(SinkError) as refused, lock_output(path):
        pass
    marker = tmp_path / ".a.json.locked"
    assert f"process {os.getpid()}" in str(refused.value)
    assert f"delete {marker}" in str(refused.value)
    assert tree(tmp_path) == []
    # of a computer that is not there any more; the way out is to delete it
    marker.write_text("1\nelsewhere\n")
    with pytest.raises(SinkError, match="delete"), lock_output(path):
        pass
    marker.unlink()
    with lock_output(path):
        pass


# what was written is damaged, or deleted


def damage(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


DAMAGES = [damage, lambda file: file.unlink(), lambda file: file.write_bytes(b"")]


@pytest.mark.parametrize("fault", DAMAGES)
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("make", [zarr_sink, tiff_sink])
def test_what_is_damaged_while_no_run_writes_is_computed_again(
    tmp_path, make, level, fault
):
    writer = begin(make(tmp_path), tiles=3)
    # the levels are there, the last step is not
    build_levels(writer, rounds=1)
    whole, damaged = tmp_path / "whole", next(tmp_path.glob("*.ome.zarr"))
    whole.mkdir()
    writer.__exit__(None, None, None)
    fault(damaged / str(level) / "c" / "1" / "0" / "0")
    result = run(make(tmp_path))
    np.testing.assert_array_equal(read(result), PIXELS)
    expected = run(make(whole))
    if result.suffix == ".zarr":
        for file in (f for f in expected.rglob("*") if f.is_file()):
            again = result / file.relative_to(expected)
            assert again.read_bytes() == file.read_bytes()
    else:
        assert result.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("fault", DAMAGES)
@pytest.mark.parametrize("make", [zarr_sink, tiff_sink])
def test_what_is_damaged_while_a_run_writes_is_refused_and_then_mended(
    tmp_path, make, fault
):
    writer = begin(make(tmp_path), tiles=3)
    fault(next(tmp_path.glob("*.ome.zarr")) / "0" / "c" / "1" / "0" / "0")
    with pytest.raises(SinkError, match="start the same command again"):
        finish(writer)
    assert not (tmp_path / "a.ome.tif").exists()
    np.testing.assert_array_equal(read(run(make(tmp_path))), PIXELS)


def test_one_wrong_bit_in_a_finished_store_is_refused(tmp_path):
    result = run(zarr_sink(tmp_path))
    chunk = result / "0" / "c" / "1" / "0" / "0"
    data = chunk.read_bytes()
    for place in range(0, len(data), 1 + len(data) // 12):
        changed = bytearray(data)
        changed[place] ^= 1
        chunk.write_bytes(changed)
        source = open_source(result)
        with pytest.raises(SourceError, match="cannot be read"):
            source.read((1,), slice(0, 40), slice(0, 256))
    chunk.write_bytes(data)
    np.testing.assert_array_equal(read(result), PIXELS)


@pytest.mark.parametrize("make", [zarr_sink, tiff_sink])
def test_what_goes_after_the_last_look_is_not_called_finished(tmp_path, make):
    writer = begin(make(tmp_path), tiles=3)
    build_levels(writer)
    (next(tmp_path.glob("*.ome.zarr")) / "0" / "c" / "1" / "0" / "0").unlink()
    with pytest.raises(SinkError, match="start the same command again"), writer:
        writer.finish()
    assert not (tmp_path / "a.ome.tif").exists()
    np.testing.assert_array_equal(read(run(make(tmp_path))), PIXELS)


@pytest.mark.parametrize("make", [zarr_sink, tiff_sink])
@pytest.mark.parametrize("moment", ["tiles", "levels", "finish"])
def test_a_store_that_vanishes_ends_the_run_and_leaves_nothing_in_the_way(
    tmp_path, make, moment
):
    sink = make(tmp_path)
    writer = begin(sink, tiles=2 if moment == "tiles" else 3)
    if moment == "finish":
        build_levels(writer)
    shutil.rmtree(next(tmp_path.glob("*.ome.zarr")))
    tile = list(make_write_grid(SPEC.axes, sink.unit(SPEC)))[2]
    last = {
        "tiles": lambda: writer.write(tile, PIXELS[(2, *tile.write)][None]),
        "levels": lambda: build_levels(writer),
        "finish": writer.finish,
    }[moment]
    with pytest.raises(SinkError, match=r"deleted or moved.*same command"), writer:
        last()
    assert tree(tmp_path) == []
    np.testing.assert_array_equal(read(run(make(tmp_path))), PIXELS)


def test_a_store_begun_in_other_chunks_is_not_mixed(tmp_path):
    path = tmp_path / "a.ome.zarr"
    begin(OmeZarrSink(path, chunk=16)).__exit__(None, None, None)
    for other in ({"chunk": 32}, {"version": "0.4"}):
        with pytest.raises(SinkError, match=r"other chunks.*--overwrite"):
            run(OmeZarrSink(path, **other))
    assert read_record(path)[0] == "partial"
    result = run(OmeZarrSink(path, chunk=32, overwrite=True))
    np.testing.assert_array_equal(read(result), PIXELS)


def test_an_abandoned_tiff_is_replaced_by_another_run(tmp_path):
    sink = tiff_sink(tmp_path)
    begin(sink).__exit__(None, None, None)
    with pytest.raises(SinkError, match=r"a\.ome\.tif is the unfinished.*--overwrite"):
        run(sink, "two")
    # what earlier versions left of a store that they deleted
    for name in ("zarr.json", "structsr-journal.txt"):
        (tmp_path / ".a.ome.tif.ome.zarr" / name).unlink()
    np.testing.assert_array_equal(read(run(sink, "two")), PIXELS)
    assert tree(tmp_path) == ["a.ome.tif"]
