"""The size of the tiles changes no byte, however the rounding of a network behaves."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from napari_structsr import (
    Cancel,
    MemorySink,
    OmeZarrSink,
    UpscaleSettings,
    iter_inspect,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.engine.blocks import choose_block
from napari_structsr.engine.device import Device
from napari_structsr.engine.events import Progressed
from napari_structsr.inspection.settings import InspectSettings

OPTICS = {"psf_sigma": 0.8, "noise": 0.02}


def make_stack(shape=(2, 75, 88)):
    return np.random.default_rng(0).integers(100, 60000, shape, np.uint16)


def run(pixels, model, sink=None, *, axes="zyx", **values):
    settings = {"device": "cpu", "precision": "float32", "dtype": "float32"} | values
    source = open_source(pixels, axes=axes)
    events = iter_upscale(
        source, model, sink or MemorySink(), settings=UpscaleSettings(**settings)
    )
    path = result_of(events)
    return path if sink is None else read(path)


def read(path):
    source = open_source(path)
    height, width = source.spec.axes.plane
    planes = source.spec.axes.planes()
    return np.stack([source.read(p, slice(0, height), slice(0, width)) for p in planes])


@pytest.fixture
def fickle(monkeypatch):
    """Let a network round by the shape that it is given, as some processors do."""
    compute = Device.run
    shapes = []

    def run(self, model, image):
        shapes.append(tuple(image.shape))
        noise = torch.rand(
            1, generator=torch.Generator().manual_seed(abs(hash(image.shape)))
        )
        return compute(self, model, image) + 1e-4 * noise.item()

    monkeypatch.setattr(Device, "run", run)
    monkeypatch.setattr(Device, "block", 32)
    return shapes


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_tiles_of_any_size_give_the_same_bytes(factor, precision, monkeypatch):
    monkeypatch.setattr(Device, "block", 24)
    pixels, model = make_stack((1, 30, 41)), load_model("conditional", factor=factor)
    settings = {"precision": precision, **OPTICS}
    expected = run(pixels, model, **settings)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        found = run(pixels, model, tile=16, **settings)
    finally:
        torch.set_num_threads(threads)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("agreement", ["off", "noise", "exact"])
@pytest.mark.parametrize("tile", [16, 40, 64])
def test_rounding_that_depends_on_the_shape_does_not_show(
    fickle, tmp_path, agreement, tile
):
    pixels, model = make_stack(), load_model("bicubic")
    expected = run(pixels, model, agreement=agreement)
    assert len(set(fickle)) > 3
    for chunk in (16, 36, 64):
        sink = OmeZarrSink(tmp_path / f"{chunk}.ome.zarr", chunk=chunk)
        found = run(pixels, model, sink, agreement=agreement, tile=tile)
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("color", ["channels", "luminance"])
def test_colours_do_not_depend_on_tiles(fickle, tmp_path, color):
    pixels = make_stack((70, 50, 3)).astype(np.uint8)
    expected = run(pixels, load_model("bicubic"), axes="yxs", color=color)
    sink = OmeZarrSink(tmp_path / "a.ome.zarr", chunk=32)
    found = run(pixels, load_model("bicubic"), sink, axes="yxs", color=color, tile=16)
    planes = np.moveaxis(found.reshape(3, 140, 100), 0, -1)
    assert planes.tobytes() == expected.tobytes()


def test_maps_do_not_depend_on_tiles(fickle, tmp_path):
    source = make_stack((1, 80, 70))[0]
    result = run(source, load_model("faithful"), axes="yx")
    found = {}
    for tile in (None, 16):
        folder = tmp_path / str(tile)
        settings = InspectSettings(
            device="cpu",
            model="faithful",
            maps=("artefact", "spread", "residual"),
            tile=tile,
        )
        result_of(iter_inspect(result, source=source, out=folder, settings=settings))
        for path in sorted(folder.glob("*.ome.zarr")):
            found.setdefault(path.name, []).append(read(path).tobytes())
    assert len(found) == 3
    for name, values in found.items():
        assert len(set(values)) == 1, name


@hypothesis_settings(max_examples=8, deadline=None)
@given(
    stop_after=st.integers(1, 12),
    tile=st.integers(16, 48),
    chunk=st.integers(16, 50),
)
def test_a_run_that_went_on_gives_the_same_bytes(
    tmp_path_factory, stop_after, tile, chunk
):
    pixels, model = make_stack(), load_model("bicubic")
    path = tmp_path_factory.mktemp("run") / "a.ome.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Device, "block", 32)
        expected = run(pixels, model)
        cancel = Cancel()
        chosen = UpscaleSettings(
            device="cpu", precision="float32", dtype="float32", tile=tile
        )
        for again in (cancel, None):
            for event in iter_upscale(
                open_source(pixels, axes="zyx"),
                model,
                OmeZarrSink(path, chunk=chunk),
                settings=chosen,
                cancel=again,
            ):
                if isinstance(event, Progressed) and event.done == stop_after:
                    cancel()
            if not cancel:
                break  # there were fewer tiles
        found = read(path)
    assert found.tobytes() == expected.tobytes()


def test_blocks_that_tiles_share_are_computed_once(fickle, tmp_path):
    pixels = make_stack()
    sink = OmeZarrSink(tmp_path / "a.ome.zarr", chunk=24)
    run(pixels, load_model("bicubic"), sink, tile=16)
    assert len(fickle) == 1 + 2 * 3 * 3  # with the self-test of the device


@pytest.mark.parametrize("budget", [0, 1 << 16])
def test_blocks_that_were_forgotten_are_computed_again(
    fickle, tmp_path, budget, monkeypatch
):
    monkeypatch.setattr("napari_structsr.engine.blocks._REMEMBERED", budget)
    pixels, model = make_stack(), load_model("bicubic")
    expected = run(pixels, model)
    sink = OmeZarrSink(tmp_path / "a.ome.zarr", chunk=24)
    assert run(pixels, model, sink, tile=16).tobytes() == expected.tobytes()


def test_large_networks_have_small_blocks():
    device, half = Device("cpu", "cpu", "float32"), Device("cpu", "cpu", "bfloat16")
    gpu = Device("cuda:0", "some GPU", "float16")
    assert choose_block(device, 26) == (1024, 1024)
    assert choose_block(device, 144) == (512, 1024)
    assert choose_block(half, 26) == (512, 512)
    assert choose_block(half, 26, 62) == (1024, 1024)
    assert choose_block(device, 144, 62) == (512, 1024)
    assert choose_block(device, 400) == (512, 512)
    assert choose_block(device, 4096) == (256, 256)
    assert choose_block(gpu, 4096) == (512, 512)
    assert choose_block(device, 10**9) == (64, 64)
