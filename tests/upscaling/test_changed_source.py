"""An image that changes before its result is whole is noticed, never mixed in."""

import os

import numpy as np
import pytest
import tifffile
import zarr

from napari_structsr import (
    Cancel,
    MemorySink,
    OmeZarrSink,
    UpscaleSettings,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.engine.events import (
    Cancelled,
    Failed,
    Finished,
    Progressed,
    Warned,
)
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.tiff.writer import TiffSink

SETTINGS = UpscaleSettings(precision="float32", device="cpu", tile=128)


@pytest.fixture
def stack():
    rng = np.random.default_rng(5)
    return rng.integers(0, 4000, (9, 640, 128), np.uint16)


def write_tiff(path, stack):
    tifffile.imwrite(path, stack, photometric="minisblack")
    return path


def write_compressed(path, stack):
    tifffile.imwrite(path, stack, photometric="minisblack", compression="lzw")
    return path


def write_files(path, stack):
    path.mkdir(exist_ok=True)
    for number, plane in enumerate(stack):
        tifffile.imwrite(path / f"{number}.tif", plane)
    return path / "*.tif"


def write_zarr(path, stack):
    array = zarr.create_array(path, shape=stack.shape, chunks=(1, 64, 64), dtype="u2")
    array[:] = stack
    return path


def change_chunk(path):
    array = zarr.open_array(path, mode="r+")
    array[8, 600:610, 100:110] = 7


def change_file(path):
    """Change pixels that no statistics look at; size and place stay."""
    file = path if path.is_file() else path.parent / "8.tif"
    with tifffile.TiffFile(file) as found:
        size, compressed = found.filehandle.size, found.pages.first.compression != 1
        pixels, last = found.asarray(), len(found.pages) - 1
    if compressed:
        pixels[-1, 600:610, 100:110] = 7
        write_compressed(file, pixels)
        return
    mapped = tifffile.memmap(file, page=last, mode="r+")
    mapped[600:610, 100:110] = 7
    mapped.flush()
    assert file.stat().st_size == size
    # a mapped file may get its time late
    os.utime(file)


KINDS = {
    "tiff": ("a.tif", write_tiff, change_file),
    "compressed": ("a.tif", write_compressed, change_file),
    "files": ("planes", write_files, change_file),
    "zarr": ("a.zarr", write_zarr, change_chunk),
    "lost": ("a.zarr", write_zarr, lambda path: (path / "c/8/9/1").unlink()),
}


def start(path, sink, cancel=None):
    return iter_upscale(
        open_source(path), load_model("bicubic"), sink, settings=SETTINGS, cancel=cancel
    )


def stop_early(path, sink):
    """Leave a result unfinished."""
    cancel = Cancel()
    for event in start(path, sink, cancel):
        if isinstance(event, Progressed):
            cancel()
    assert isinstance(event, Cancelled)
    assert event.done


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_image_is_refused_when_its_result_is_continued(tmp_path, stack, kind):
    name, write, change = KINDS[kind]
    path = write(tmp_path / name, stack)
    out = tmp_path / "out.ome.zarr"
    stop_early(path, OmeZarrSink(out))
    change(path)
    *_, last = start(path, OmeZarrSink(out))
    assert isinstance(last, Failed)
    assert isinstance(last.error, SinkError)
    assert "the source, which has changed since" in str(last.error)
    assert "--overwrite" in str(last.error)
    # the way out that it names
    result_of(start(path, OmeZarrSink(out, overwrite=True)))
    changed = result_of(start(path, MemorySink()))
    assert (zarr.open_array(out / "0", mode="r")[:] == changed).all()


def test_a_changed_array_is_refused_when_its_result_is_continued(tmp_path, stack):
    """No file tells it: all pixels are looked at."""
    out = tmp_path / "out.ome.tif"
    stop_early(stack, TiffSink(out))
    stack[8, 600, 100] += 1
    *_, last = start(stack, TiffSink(out))
    assert "the source, which has changed since" in str(last.error)
    stack[8, 600, 100] -= 1
    *_, last = start(stack, TiffSink(out))
    assert isinstance(last, Finished)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_while_the_image_is_read_ends_the_run(tmp_path, stack, kind):
    name, write, change = KINDS[kind]
    path = write(tmp_path / name, stack)
    out = tmp_path / "out.ome.zarr"
    changed = False
    for event in start(path, OmeZarrSink(out)):
        if isinstance(event, Progressed) and not changed:
            change(path)
            changed = True
    assert isinstance(event, Failed)
    assert isinstance(event.error, SourceError)
    assert "has changed since the image was opened" in str(event.error)
    # what was written is of the former image, and not mixed with the new one
    *_, last = start(path, OmeZarrSink(out))
    assert "the source, which has changed since" in str(last.error)


def test_a_result_of_an_earlier_version_is_continued_with_a_warning(tmp_path, stack):
    path, out = write_tiff(tmp_path / "a.tif", stack), tmp_path / "out.ome.zarr"

    def leave_old():
        stop_early(path, OmeZarrSink(out, overwrite=True))
        group = zarr.open_group(out)
        entry = group.attrs["structsr"]
        del entry["record"]["fingerprint"]
        group.attrs["structsr"] = entry

    leave_old()
    first, *events = start(path, OmeZarrSink(out))
    assert first.plan.done
    (warning,) = [event.message for event in events if isinstance(event, Warned)]
    assert "did not note what the image was" in warning
    assert isinstance(events[-1], Finished)
    # the way out that the warning names
    leave_old()
    first, *events = start(path, OmeZarrSink(out, overwrite=True))
    assert first.plan.done == 0
    assert not [event for event in events if isinstance(event, Warned)]


@pytest.mark.parametrize("role", ["result", "reference", "source"])
def test_changed_images_are_refused_when_an_inspection_is_continued(tmp_path, role):
    fine = np.random.default_rng(5).integers(0, 4000, (2, 128, 600), np.uint16)
    images = {"result": fine, "reference": fine + 1, "source": fine[:, ::2, ::2]}
    paths = {
        name: write_tiff(tmp_path / f"{name}.tif", pixels)
        for name, pixels in images.items()
    }

    def inspect(cancel=None, **options):
        return iter_inspect(
            paths["result"],
            paths["reference"],
            source=paths["source"],
            out=tmp_path / "maps",
            settings=InspectSettings(maps=("error", "residual"), tile=64),
            cancel=cancel,
            **options,
        )

    cancel = Cancel()
    for event in inspect(cancel):
        if isinstance(event, Progressed):
            cancel()
    assert isinstance(event, Cancelled)
    # the same pixels, written again: nobody looks at all of them to tell
    os.utime(paths[role])
    *_, last = inspect()
    assert isinstance(last, Failed)
    assert f"the {role}, which has changed since" in str(last.error)
    *_, last = inspect(overwrite=True)
    assert isinstance(last, Finished)


def test_files_that_are_only_copied_elsewhere_and_back_are_the_same(tmp_path, stack):
    """Their times are kept by such programs, and nothing else is asked of them."""
    path = write_zarr(tmp_path / "a.zarr", stack)
    out = tmp_path / "out.ome.zarr"
    stop_early(path, OmeZarrSink(out))
    times = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    for file, time in times.items():
        if file.is_file():
            data = file.read_bytes()
            file.unlink()
            file.write_bytes(data)
            os.utime(file, ns=(time, time))
    # what a file browser leaves behind is no part of the image
    (path / "c" / ".DS_Store").write_bytes(b"x")
    *_, last = start(path, OmeZarrSink(out))
    assert isinstance(last, Finished)


def test_reading_goes_on_beside_files_that_nobody_reads(tmp_path, stack):
    """A plane that is still written keeps the others from nothing before it is read."""
    path = write_zarr(tmp_path / "a.zarr", stack)
    source = open_source(path)
    source.fingerprint()
    change_chunk(path)
    first = source.read((0,), slice(0, 640), slice(0, 128))
    assert (first[0] == stack[0]).all()
    with pytest.raises(SourceError, match=r"c/8/9/1 has changed.*--overwrite"):
        source.read((8,), slice(0, 640), slice(0, 128))
