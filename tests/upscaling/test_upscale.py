"""The loop over tiles: what a user gets, whatever the tiles, chunks and devices."""

import logging
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from napari_structsr import (
    Cancel,
    MemorySink,
    OmeZarrSink,
    UpscaleSettings,
    iter_upscale,
    load_model,
    open_source,
    plan,
    result_of,
)
from napari_structsr.core.record import Record
from napari_structsr.engine.device import Device
from napari_structsr.engine.events import (
    Cancelled,
    Failed,
    Finished,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.errors import (
    DeviceError,
    MemoryShortageError,
    PixelError,
    SettingsError,
    SinkError,
    UnexpectedError,
)
from napari_structsr.io.ome_zarr import chunk_files
from napari_structsr.io.ome_zarr.chunk_packing import put_file
from napari_structsr.io.ome_zarr.writer import OmeZarrSink as Store

EXACT = {"precision": "float32", "device": "cpu"}


def settings(**values):
    return UpscaleSettings(**{**EXACT, **values})


def run(pixels, model="faithful", *, factor=2, axes=None, **values):
    source = open_source(pixels, axes=axes)
    return result_of(
        iter_upscale(
            source,
            load_model(model, factor=factor),
            MemorySink(),
            settings=settings(**values),
        )
    )


@hypothesis_settings(max_examples=12)
@given(data=st.data())
def test_tiles_equal_the_whole_image_and_chunks_are_written_once(
    data, tmp_path_factory
):
    """The property that everything rests on, with the shipped weights."""
    draw = data.draw
    model = draw(st.sampled_from(["faithful", "bicubic"]))
    factor = draw(st.sampled_from([2, 4]))
    agreement = draw(st.sampled_from(["off", "noise", "exact"]))
    height, width = draw(st.integers(2, 90)), draw(st.integers(2, 90))
    planes = draw(st.integers(1, 2))
    tile, block = draw(st.integers(16, 60)), draw(st.integers(16, 60))
    chunk = draw(st.integers(16, 80))
    shard = draw(st.sampled_from(["auto", chunk, 2 * chunk]))
    version = draw(st.sampled_from(["0.4", "0.5"]))
    seed = draw(st.integers(0, 999))
    pixels = np.random.default_rng(seed).random((planes, height, width), np.float32)
    whole = run(pixels, model, factor=factor, axes="zyx", agreement=agreement)

    written = Counter()
    put = zarr.storage.LocalStore.set

    async def count(self, key, value):
        written[f"{self.root.name}/{key}"] += 1
        await put(self, key, value)

    def count_file(file, data):
        written[file.relative_to(path).as_posix()] += 1
        put_file(file, data)

    path = tmp_path_factory.mktemp("tiles") / "result.ome.zarr"
    with pytest.MonkeyPatch.context() as patch:
        # zarr writes shards, and what is written here without it are single chunks
        patch.setattr(zarr.storage.LocalStore, "set", count)
        patch.setattr(chunk_files, "put_file", count_file)
        patch.setattr(Device, "block", block)
        result_of(
            iter_upscale(
                open_source(pixels, axes="zyx"),
                load_model(model, factor=factor),
                OmeZarrSink(path, chunk=chunk, shard=shard, version=version),
                settings=settings(tile=tile, agreement=agreement),
            )
        )
    tiled = zarr.open_array(path / "0", mode="r")
    np.testing.assert_allclose(tiled[:], whole, atol=1e-5, rtol=0)
    chunks = {
        key: number
        for key, number in written.items()
        if not key.endswith((".json", ".zarray", ".zgroup", ".zattrs"))
    }
    stored = tiled.shards or tiled.chunks
    expected = [-(-n // size) for n, size in zip(tiled.shape, stored, strict=True)]
    assert sum(key.startswith("0/") for key in chunks) == np.prod(expected)
    assert set(chunks.values()) == {1}
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "uint32", "float32", "float64"]
)
def test_type_and_level_are_kept(measured, dtype):
    top = 200 if dtype == "uint8" else 30000
    pixels = (np.clip(measured, 0, 1) * top + 20).astype(dtype)
    result = run(pixels)
    assert result.dtype == dtype
    assert result.shape == (192, 224)
    assert result.mean() == pytest.approx(pixels.mean(), rel=2e-3)


def test_large_offsets_keep_their_detail(measured):
    """A camera offset far above the signal costs nothing."""
    plain = run((measured * 100).astype(np.float64))
    shifted = run((measured * 100).astype(np.float64) + 1e7)
    np.testing.assert_allclose(shifted - 1e7, plain, atol=0.02)


def test_network_beats_bicubic_on_a_cell(truth, measured):
    from skimage.metrics import peak_signal_noise_ratio as psnr

    gain = psnr(truth, run(measured), data_range=1) - psnr(
        truth, run(measured, "bicubic", agreement="off"), data_range=1
    )
    assert gain > 1


@pytest.mark.parametrize("model", ["faithful", "bicubic"])
@pytest.mark.parametrize("value", [0, 7, 40000])
def test_constant_image_stays_constant(model, value):
    result = run(np.full((40, 50), value, np.uint16), model)
    assert (result == value).all()


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_one_bad_pixel_stays_one_bad_pixel(measured, hole):
    broken = measured.copy()
    broken[30, 40] = hole
    result, clean = run(broken), run(measured)
    bad = ~np.isfinite(result)
    assert bad.sum() == 4
    assert bad[60:62, 80:82].all()
    np.testing.assert_allclose(result[~bad], clean[~bad], atol=0.05)
    assert np.abs(result - clean)[~bad].mean() < 2e-4


def test_region_without_data_stays_without_and_tiles_agree(measured, monkeypatch):
    broken = measured.copy()
    broken[:, 50:80] = np.nan
    whole = run(broken)
    monkeypatch.setattr(Device, "block", 16)
    tiled = run(broken)
    np.testing.assert_allclose(whole, tiled, atol=1e-5)
    assert np.isnan(whole[:, 100:160]).all()
    assert np.isfinite(whole[:, :100]).all()
    far = np.s_[:, :20]
    np.testing.assert_allclose(whole[far], run(measured)[far], atol=0.01)


def test_image_of_nothing_but_nan_is_refused(tmp_path):
    path = tmp_path / "out.ome.zarr"
    pixels = np.full((30, 40), np.nan, np.float32)
    events = list(
        iter_upscale(open_source(pixels), load_model("bicubic"), OmeZarrSink(path))
    )
    assert isinstance(events[-1].error, PixelError)
    assert not path.exists()


def test_channels_are_measured_apart_and_planes_together(stack):
    dim = stack.copy()
    dim[1] = stack[1] // 10
    source = open_source(dim, axes="czyx")
    *_, finished = iter_upscale(source, load_model("bicubic"), MemorySink())
    first, second = finished.record.intensity
    assert second.high == pytest.approx(first.high / 10, rel=0.2)


def test_any_order_of_axes_gives_the_same_pixels(stack):
    expected = run(stack, axes="czyx", tile=32)
    turned = run(stack.transpose(3, 1, 0, 2), axes="xzcy", tile=32)
    np.testing.assert_array_equal(turned, expected)


def test_colour_by_channel_equals_three_images_and_luminance_keeps_grey(measured):
    grey = (np.clip(measured, 0, 1) * 250).astype(np.uint8)
    rgb = np.stack([grey, grey // 2, 255 - grey], axis=-1)
    result = run(rgb, agreement="off")
    assert result.shape == (192, 224, 3)
    for sample in range(3):
        alone = run(rgb[..., sample], agreement="off")
        assert np.abs(result[..., sample].astype(int) - alone).max() <= 1
    same = np.stack([grey] * 3, axis=-1)
    luminance = run(same, color="luminance", agreement="off").astype(int)
    alone = run(grey, agreement="off").astype(int)
    assert np.abs(luminance - alone[..., None]).max() <= 1


def test_transparency_is_interpolated_only(measured):
    rgba = np.full((96, 112, 4), 255, np.uint8)
    rgba[..., 0] = np.clip(measured, 0, 1) * 255
    assert (run(rgba, agreement="off")[..., 3] == 255).all()


def test_exact_agreement_holds_through_the_engine(measured, monkeypatch):
    model = load_model("faithful")
    monkeypatch.setattr(Device, "block", 32)
    result = run(measured, agreement="exact")
    again = model.forward_model(torch.from_numpy(result)[None, None])[0, 0]
    np.testing.assert_allclose(again, measured, atol=1e-4 * np.ptp(measured))


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_agreement_within_noise_keeps_slope_and_offset(truth, noise):
    """Also where the noise is a good part of the contrast."""
    model = load_model("faithful")
    measured = model.forward_model(torch.from_numpy(truth)[None, None])[0, 0].numpy()
    rng = np.random.default_rng(0)
    measured = measured + (noise * measured.std() * rng.standard_normal(measured.shape))
    result = run(measured.astype(np.float32), agreement="noise")
    again = model.forward_model(torch.from_numpy(result)[None, None])[0, 0].numpy()
    slope, offset = np.polyfit(measured.ravel(), again.ravel(), 1)
    assert slope == pytest.approx(1, abs=0.01)
    assert abs(offset) < 0.005 * np.ptp(measured)


# events, plans, resuming


def test_events_come_in_order_and_count_every_tile(stack):
    source = open_source(stack, axes="czyx")
    events = list(iter_upscale(source, load_model("bicubic"), MemorySink()))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    steps = [event.done for event in events if isinstance(event, Progressed)]
    assert steps == list(range(1, events[0].total + 1))
    assert isinstance(events[-1].record, Record)


def test_plan_tells_tiles_and_size_without_reading(stack):
    class Unread:
        def __init__(self, source):
            self.spec, self.chunks = source.spec, source.chunks
            self.origin, self.options = source.origin, source.options

        def read(self, *place):
            raise AssertionError("a plan reads nothing")

    source = Unread(open_source(stack, axes="czyx"))
    found = plan(source, load_model("faithful"), MemorySink(), settings=settings())
    assert found.tiles == 4
    assert found.output_bytes == stack.nbytes * 4
    assert found.memory_bytes > 1e6
    assert "4 tiles" in str(found)


def tree(path):
    """Return every file of a store with its bytes."""
    return {
        file.relative_to(path): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_cancel_leaves_a_marked_store_that_the_same_run_finishes(
    stack, tmp_path, stop_after
):
    def start(path, cancel=None):
        return iter_upscale(
            open_source(stack, axes="czyx"),
            load_model("faithful"),
            Store(path, chunk=64),
            settings=settings(tile=32),
            cancel=cancel,
        )

    path, cancel = tmp_path / "a.ome.zarr", Cancel()
    events = start(path, cancel)
    done = 0
    for event in events:
        if isinstance(event, Progressed):
            done += 1
            if done == stop_after:
                cancel()
    assert isinstance(event, Cancelled)
    assert stop_after <= event.done <= stop_after + 3
    group = zarr.open_group(path, mode="r")
    assert group.attrs["structsr"]["status"] == "partial"
    assert "ome" not in group.attrs

    first, *rest = start(path)
    assert first.plan.done == event.done
    assert isinstance(rest[-1], Finished)
    whole = tmp_path / "b.ome.zarr"
    result_of(start(whole))
    assert tree(path) == tree(whole)


def test_cancel_before_the_first_tile_leaves_nothing(stack, tmp_path):
    cancel = Cancel()
    cancel()
    path = tmp_path / "a.ome.zarr"
    *_, last = iter_upscale(
        open_source(stack, axes="czyx"),
        load_model("bicubic"),
        OmeZarrSink(path),
        cancel=cancel,
    )
    assert last == Cancelled(0)
    assert list(tmp_path.iterdir()) == []


def test_unfinished_result_of_another_run_is_refused_and_kept(stack, tmp_path):
    path, cancel = tmp_path / "a.ome.zarr", Cancel()
    for event in iter_upscale(
        open_source(stack, axes="czyx"),
        load_model("bicubic"),
        OmeZarrSink(path),
        cancel=cancel,
        settings=settings(agreement="off"),
    ):
        if isinstance(event, Progressed):
            cancel()
    before = tree(path)
    (failed,) = iter_upscale(
        open_source(stack, axes="czyx"),
        load_model("bicubic"),
        OmeZarrSink(path),
        settings=settings(agreement="exact"),
    )
    assert isinstance(failed.error, SinkError)
    assert "agreement" in str(failed.error)
    assert tree(path) == before


def test_finished_result_is_refused_unless_overwritten(stack, tmp_path):
    path = tmp_path / "a.ome.zarr"

    def start(overwrite):
        return iter_upscale(
            open_source(stack, axes="czyx"),
            load_model("bicubic"),
            OmeZarrSink(path, overwrite=overwrite),
        )

    result_of(start(False))
    before = tree(path)
    with pytest.raises(SinkError, match="--overwrite"):
        result_of(start(False))
    assert tree(path) == before
    assert result_of(start(True)) == path


def test_result_over_its_own_input_is_refused(stack, tmp_path):
    path = tmp_path / "a.ome.zarr"
    result_of(
        iter_upscale(
            open_source(stack, axes="czyx"), load_model("bicubic"), OmeZarrSink(path)
        )
    )
    before = tree(path)
    for place in (path, path / "inside.ome.zarr"):
        (failed,) = iter_upscale(
            open_source(path),
            load_model("bicubic"),
            OmeZarrSink(place, overwrite=True),
        )
        assert isinstance(failed.error, SinkError)
    assert tree(path) == before


# what breaks


def test_shortage_of_memory_halves_the_block_and_gives_the_same(measured, monkeypatch):
    model = load_model("faithful")
    expected = run(measured)
    call = type(model).__call__

    def short(self, image):
        if image.shape[-1] * image.shape[-2] > 90 * 90:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return call(self, image)

    monkeypatch.setattr(type(model), "__call__", short)
    events = list(
        iter_upscale(
            open_source(measured),
            model,
            MemorySink(),
            settings=settings(tile=128),
        )
    )
    assert isinstance(events[-1], Finished)
    assert any(isinstance(e, Warned) and "memory" in e.message for e in events)
    monkeypatch.undo()
    np.testing.assert_allclose(
        events[-1].output, run(measured, agreement="off"), atol=1e-5
    )
    assert expected.shape == events[-1].output.shape


def test_shortage_without_end_fails_with_a_remedy(measured, monkeypatch, tmp_path):
    model = load_model("bicubic")
    tested = iter([True] * 2)  # the self-test passes

    def short(self, image):
        if next(tested, False):
            return torch.zeros(1, 1, 128, 128)
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(type(model), "__call__", short)
    path = tmp_path / "a.ome.zarr"
    events = list(
        iter_upscale(
            open_source(measured),
            model,
            OmeZarrSink(path),
            settings=settings(agreement="off"),
        )
    )
    assert isinstance(events[-1].error, MemoryShortageError)
    assert sum(isinstance(e, (Finished, Failed, Cancelled)) for e in events) == 1
    assert not path.exists()


def test_a_fault_of_the_program_is_reported_not_swallowed(
    measured, monkeypatch, caplog
):
    model = load_model("bicubic")
    monkeypatch.setattr(type(model.forward_model), "__call__", lambda *_: 1 / 0)
    events = iter_upscale(
        open_source(measured), model, MemorySink(), settings=settings(agreement="exact")
    )
    with caplog.at_level(logging.ERROR):
        *_, last = events
    assert isinstance(last.error, UnexpectedError)
    assert isinstance(last.error.__cause__, ZeroDivisionError)
    assert "Traceback" in caplog.text


def test_device_that_computes_wrong_pixels_is_refused(measured, monkeypatch):
    model = load_model("bicubic")
    call = type(model).__call__
    calls = iter([0.0, 0.5])
    monkeypatch.setattr(
        type(model), "__call__", lambda self, image: call(self, image) + next(calls)
    )
    (failed,) = iter_upscale(
        open_source(measured), model, MemorySink(), settings=settings(device="cpu")
    )
    assert isinstance(failed.error, DeviceError)
    assert "wrong numbers" in str(failed.error)


@pytest.mark.parametrize(("device", "word"), [("tpu", "unknown"), ("cuda:99", "CUDA")])
def test_missing_device_is_named(measured, device, word):
    (failed,) = iter_upscale(
        open_source(measured),
        load_model("bicubic"),
        MemorySink(),
        settings=UpscaleSettings(device=device),
    )
    assert isinstance(failed.error, DeviceError)
    assert word in str(failed.error)


def test_luminance_of_a_grey_image_is_refused(measured):
    with pytest.raises(SettingsError, match="channels"):
        run(measured, color="luminance")


def test_result_too_large_for_memory_names_the_remedy():
    import dask.array as da

    huge = da.zeros((4000, 40000, 40000), chunks=(1, 1000, 1000), dtype="uint16")
    (failed,) = iter_upscale(
        open_source(huge, axes="zyx"), load_model("bicubic"), MemorySink()
    )
    assert isinstance(failed.error, MemoryShortageError)
    assert "OME-Zarr" in str(failed.error)


def test_sparse_image_is_searched_for_its_range():
    """Signal where no sample was taken; the range must not be that of nothing."""
    pixels = np.zeros((1500, 1500), np.uint16)
    pixels[300:304, 300:304] = 5000
    result = run(pixels, "bicubic", agreement="off")
    assert result[600:608, 600:608].max() > 4500


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_recorded_and_close(measured, precision):
    source = open_source(measured)
    *_, finished = iter_upscale(
        source,
        load_model("faithful"),
        MemorySink(),
        settings=UpscaleSettings(precision=precision, device="cpu"),
    )
    assert finished.record.settings["precision"] == precision
    np.testing.assert_allclose(finished.output, run(measured), atol=0.02)


def test_a_cancel_while_the_result_is_finished_comes_too_late(tmp_path, monkeypatch):
    cancel, finish = Cancel(), Store.open
    path = tmp_path / "late.ome.zarr"

    def open_late(self, *words):
        writer = finish(self, *words)
        whole = writer.finish

        def finish_late():
            cancel()
            return whole()

        writer.finish = finish_late
        return writer

    monkeypatch.setattr(Store, "open", open_late)
    events = list(
        iter_upscale(
            np.arange(64.0, dtype=np.float32).reshape(8, 8),
            load_model("bicubic", factor=2),
            OmeZarrSink(path),
            settings=settings(),
            cancel=cancel,
        )
    )
    assert isinstance(events[-1], Finished)
    assert zarr.open_group(path)["0"].shape == (16, 16)
