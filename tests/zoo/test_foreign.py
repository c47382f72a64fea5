"""Somebody else's weights: read safely, run through the engine, tiled as they want."""

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from napari_structsr import (
    MemorySink,
    UpscaleSettings,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.engine.device import Device, choose_device
from napari_structsr.engine.events import Finished
from napari_structsr.errors import ModelError
from napari_structsr.models.baselines.spandrel_network import ForeignNetwork
from napari_structsr.zoo.catalogue import find_card


def esrgan(channels, factor, blocks=1):
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(
        in_nc=channels,
        out_nc=channels,
        num_filters=8,
        num_blocks=blocks,
        scale=factor,
    )


def swinir(channels, factor):
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR(
        img_size=24,
        in_chans=channels,
        embed_dim=8,
        depths=[2],
        num_heads=[2],
        window_size=8,
        mlp_ratio=2,
        upscale=factor,
        upsampler="pixelshuffle",
    )


NETWORKS = {"ESRGAN": esrgan, "SwinIR": swinir}


def compact(channels, factor):
    from spandrel.architectures.Compact import Compact

    return Compact(
        num_in_ch=channels,
        num_out_ch=channels,
        num_feat=8,
        num_conv=2,
        upscale=factor,
    )


def span(channels, factor):
    from spandrel.architectures.SPAN import SPAN

    return SPAN(
        num_in_ch=channels, num_out_ch=channels, feature_channels=8, upscale=factor
    )


def plksr(channels, factor):
    from spandrel.architectures.PLKSR import PLKSR

    assert channels == 3
    return PLKSR(dim=16, n_blocks=2, upscaling_factor=factor, kernel_size=9)


MORE_NETWORKS = {"Compact": compact, "SPAN": span, "PLKSR": plksr}


def written(path, network, *args, **options):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.meshgrid, within spandrel
        module = (NETWORKS | MORE_NETWORKS)[network](*args, **options)
    for name, value in module.named_parameters():
        if "bias" in name and value.ndim == 1:
            torch.nn.init.normal_(value, std=0.1)
    torch.save(module.state_dict(), path)
    return module.eval()


def run(pixels, model, **values):
    values = {"device": "cpu", "precision": "float32"} | values
    events = iter_upscale(
        open_source(pixels, axes="zyx"),
        model,
        MemorySink(),
        settings=UpscaleSettings(**values),
    )
    return result_of(events)


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(500, 40000, (2, 10, 9)), np.ones((1, 8, 8)))
    return (coarse + rng.integers(0, 9000, coarse.shape))[:, :77, :70].astype(np.uint16)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_pth_runs_on_a_grey_stack_and_keeps_its_tile_rule(
    tmp_path, pixels, network, channels, factor, monkeypatch
):
    path = tmp_path / f"{network}.pth"
    module = written(path, network, channels, factor)
    model = load_model(str(path), factor=factor)
    assert model.card.architecture == "spandrel"
    assert model.card.licence == "unknown"
    assert len(model.card.sha256) == 64
    assert model.align == (8 if network == "SwinIR" else 1)
    assert model.seam == 0
    whole = run(pixels, model, dtype="float32")
    assert whole.shape == (2, factor * 77, factor * 70)
    monkeypatch.setattr(Device, "block", 24)
    tiled = run(pixels, model, dtype="float32")
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * np.ptp(whole))
    assert run(pixels, model).dtype == np.uint16

    image = torch.rand(1, 1, 32, 40)
    with torch.inference_mode():
        expected = module(image.expand(-1, channels, -1, -1)).mean(1, keepdim=True)
    torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", MORE_NETWORKS)
def test_networks_of_other_kinds_run_in_tiles_too(
    tmp_path, pixels, network, monkeypatch
):
    path = tmp_path / f"{network}.safetensors"
    weights = tmp_path / "weights.pth"
    written(weights, network, 3, 2)
    safetensors.torch.save_file(torch.load(weights, weights_only=True), path)
    model = load_model(str(path))
    assert network in model.card.description
    assert (model.align, model.seam) == (1, 0)
    assert 0 < model.radius <= 64
    whole = run(pixels, model, dtype="float32")
    monkeypatch.setattr(Device, "block", 24)
    tiled = run(pixels, model, dtype="float32")
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * np.ptp(whole))


def test_a_deep_network_takes_an_effective_radius_and_stays_under_its_seam(
    tmp_path, pixels, monkeypatch
):
    path = tmp_path / "deep.pth"
    written(path, "ESRGAN", 3, 2, blocks=6)
    model = load_model(str(path), factor=2)
    assert 0 < model.radius < 15 * 6
    assert 0 < model.seam < 0.05
    assert load_model(str(path), factor=2).radius == model.radius
    whole = run(pixels, model, dtype="float32")
    monkeypatch.setattr(Device, "block", 24)
    tiled = run(pixels, model, dtype="float32")
    assert np.abs(tiled - whole).max() <= model.seam * np.ptp(pixels)


@pytest.mark.parametrize("ending", [".pt", ".ckpt", ".safetensors"])
def test_other_endings_are_read_too(tmp_path, ending):
    weights = tmp_path / "a.pth"
    written(weights, "ESRGAN", 1, 2)
    path = tmp_path / f"other{ending}"
    state = torch.load(weights, weights_only=True)
    if ending == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({"state_dict": state}, path)
    image = torch.rand(1, 1, 20, 20)
    torch.testing.assert_close(
        load_model(str(path))(image), load_model(str(weights))(image)
    )


def test_the_factor_of_the_file_is_named_and_taken(tmp_path):
    path = tmp_path / "x4.pth"
    written(path, "ESRGAN", 3, 4)
    for ask in (load_model, find_card):
        with pytest.raises(ModelError, match="factor 2; it offers 4"):
            ask(str(path), factor=2)
    assert find_card(str(path), factor=None).factor == 4
    assert load_model(str(path), factor=None).factor == 4


def test_the_record_repeats_the_run(tmp_path, pixels):
    path = tmp_path / "ESRGAN x2.pth"
    written(path, "ESRGAN", 1, 2)
    events = iter_upscale(
        open_source(pixels, axes="zyx"), load_model(str(path)), MemorySink()
    )
    *_, finished = events
    assert isinstance(finished, Finished)
    assert finished.record.model["sha256"] == find_card(str(path), factor=2).sha256
    assert f"--model '{path}'" in finished.record.command()
    assert "spandrel" in finished.record.versions


def test_half_precision_is_left_to_networks_that_bear_it(tmp_path):
    for network, low in (("ESRGAN", True), ("SwinIR", False)):
        path = tmp_path / f"{network}.pth"
        written(path, network, 1, 2)
        model = load_model(str(path))
        assert model.low_precision is low
        device, _ = choose_device("cpu", "auto", model)
        assert low or device.precision == "float32"


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.write_text, (self.mark, "caught")


@pytest.mark.parametrize("ending", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("legacy", [True, False])
def test_a_program_in_a_file_is_refused_and_not_run(tmp_path, ending, legacy):
    path, mark = tmp_path / f"evil{ending}", tmp_path / "mark"
    content = {"conv_first.weight": torch.zeros(3), "extra": Trap(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match="can run programs"):
        load_model(str(path))
    assert not mark.exists()
    path.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(ModelError, match="can run programs"):
        load_model(str(path))
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(90)])
@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_what_is_no_model_is_refused(tmp_path, content, ending):
    path = tmp_path / f"no{ending}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_model(str(path))


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_torn_file_is_refused(tmp_path, share):
    path = tmp_path / "torn.pth"
    written(path, "SwinIR", 1, 2)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match="get the file again"):
        load_model(str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(2)], "no weights by name"),
        ({}, "no weights by name"),
        ({"weight": torch.zeros(2)}, "no architecture"),
    ],
)
def test_weights_of_nothing_known_are_refused(tmp_path, content, words):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(ModelError, match=words):
        load_model(str(path))


def test_incomplete_weights_are_refused(tmp_path):
    path = tmp_path / "part.pth"
    written(path, "ESRGAN", 1, 2)
    state = torch.load(path, weights_only=True)
    del state["model.0.bias"]
    torch.save(state, path)
    with pytest.raises(ModelError, match="do not fit"):
        load_model(str(path))


def test_weights_with_nan_are_refused(tmp_path):
    path = tmp_path / "nan.pth"
    written(path, "ESRGAN", 1, 2)
    state = torch.load(path, weights_only=True)
    state["model.0.bias"][0] = torch.nan
    torch.save(state, path)
    with pytest.raises(ModelError, match="NaN"):
        load_model(str(path))


def test_networks_that_do_not_upscale_are_refused(tmp_path):
    path = tmp_path / "clean.pth"
    written(path, "ESRGAN", 3, 1)
    with pytest.raises(ModelError, match="factor 1"):
        load_model(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.pth"):
        load_model(str(tmp_path / "gone.pth"))


def test_missing_spandrel_names_the_remedy(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    written(path, "ESRGAN", 1, 2)
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ModelError, match=r"napari-structsr\[zoo\]"):
        load_model(str(path))


def test_size_requirements_are_met_by_mirroring():
    class Picky(torch.nn.Module):
        seen = None

        def forward(self, image):
            self.seen = image.shape
            return image.repeat_interleave(2, -1).repeat_interleave(2, -2)

    module = Picky()
    network = ForeignNetwork(
        module, factor=2, inputs=3, minimum=16, multiple=6, square=True
    )
    image = torch.rand(2, 1, 5, 20)
    result = network(image)
    assert module.seen == (2, 3, 24, 24)
    expected = image.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(result, expected)
