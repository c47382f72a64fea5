"""Telling a model how an image was taken: by whom it is said, and in which words."""

import shlex

import numpy as np
import pytest
import tifffile
import torch
from skimage.data import camera, cell
from skimage.metrics import peak_signal_noise_ratio
from typer.testing import CliRunner

from napari_structsr import (
    MemorySink,
    OmeZarrSink,
    SRModel,
    UpscaleSettings,
    iter_upscale,
    load_model,
    open_source,
    plan,
    result_of,
)
from napari_structsr.cli import app
from napari_structsr.core.record import Record
from napari_structsr.engine.device import Device
from napari_structsr.engine.events import Warned
from napari_structsr.errors import ModelError, SettingsError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.records import read_record
from napari_structsr.io.weights import write_bundle
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard

PIXEL = 0.1  # micrometres
NOISE = 200
XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0"><Objective ID="Objective:0" LensNA="1.2"/></Instrument>
<Image ID="Image:0"><ObjectiveSettings ID="Objective:0"/>
<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="64" SizeY="48"
 SizeZ="1" SizeC="2" SizeT="1" PhysicalSizeX="0.1" PhysicalSizeY="0.1">
<Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1" EmissionWavelength="461"/>
<Channel ID="Channel:0:1" Name="Cy5" SamplesPerPixel="1" EmissionWavelength="670"/>
<TiffData/></Pixels></Image></OME>"""


def make_model(factor=2):
    """Return a conditional model that changes much with what it is told."""
    torch.manual_seed(0)
    options = {"width": 8, "blocks": 1}
    network = build_network("conditional-generator", factor=factor, options=options)
    for layer in (network.tail, network.optics[-1]):
        torch.nn.init.normal_(layer.weight, 0, 0.1)
    card = ModelCard(
        name="conditional",
        description="",
        architecture="conditional-generator",
        options=options,
        factor=factor,
        psf_sigma=0.35,
        psf_range=(0.25, 2.0),
    )
    return SRModel(card, network.state_dict())


@pytest.fixture
def stack(tmp_path):
    """Write two channels with their optics; return the path."""
    path = tmp_path / "cells.ome.tif"
    plane = cell()[200:248, 180:244].astype(np.uint16) * 100
    noise = np.random.default_rng(0).normal(0, NOISE, (2, 48, 64))
    pixels = np.clip(np.stack([plane, plane[::-1]]) + noise, 0, 65535)
    tifffile.imwrite(
        path, pixels.astype(np.uint16), description=XML.encode(), metadata=None
    )
    return path


def run(path, *, model=None, sink=None, **settings):
    settings = UpscaleSettings(precision="float32", device="cpu", **settings)
    events = list(
        iter_upscale(
            open_source(path),
            model or make_model(),
            sink or MemorySink(),
            settings=settings,
        )
    )
    return result_of(iter(events)), events[-1].record


def widths(record):
    return [one["psf_sigma"] for one in record.model["optics"]]


def test_by_default_pixels_become_finer_and_the_optics_stay(stack):
    _, record = run(stack)
    assert widths(record) == [0.35, 0.35]
    for one, intensity in zip(record.model["optics"], record.intensity, strict=True):
        assert one["width_from"] == "finer pixels, same optics"
        assert one["noise"] == pytest.approx(NOISE / intensity.span, rel=0.3)


def test_a_width_is_undone_in_all_channels(stack):
    result, record = run(stack, psf_sigma=1.2)
    assert widths(record) == [1.2, 1.2]
    assert not np.array_equal(result, run(stack)[0])


def test_undoing_the_optics_takes_them_from_the_file_channel_by_channel(stack):
    _, record = run(stack, undo_optics=True)
    expected = [0.9 * 0.225 * light / 1.2 / PIXEL for light in (0.461, 0.670)]
    assert widths(record) == pytest.approx(expected)
    assert "from the file" in record.model["optics"][0]["width_from"]


def test_what_the_user_says_of_the_optics_comes_first(stack):
    _, record = run(stack, undo_optics=True, aperture=0.8, confocal=True)
    expected = 0.9 * 0.225 * 0.461 / 0.8 / PIXEL / 2**0.5
    assert widths(record)[0] == pytest.approx(expected)
    assert run(stack, noise=0.05)[1].model["optics"][0]["noise"] == 0.05


def test_the_record_repeats_the_run(stack):
    for settings in (
        {"psf_sigma": 1.2, "noise": 0.02},
        {"undo_optics": True, "aperture": 0.8, "wavelength": 0.5, "confocal": False},
    ):
        _, record = run(stack, **settings)
        assert Record.from_json(record.to_json()) == record
        words = shlex.split(record.command())
        for name, value in settings.items():
            if name == "confocal":
                assert "--wide-field" in words
            elif value is True:
                assert "--undo-optics" in words
            else:
                option = f"--{name.replace('_', '-')}"
                assert words[words.index(option) + 1] == str(value)


def test_what_is_missing_is_said_with_a_way_out(tmp_path):
    bare = np.random.default_rng(0).integers(0, 4000, (40, 40), np.uint16)
    with pytest.raises(SettingsError, match="--psf-sigma"):
        plan(
            open_source(bare),
            make_model(),
            MemorySink(),
            settings=UpscaleSettings(undo_optics=True),
        )
    with pytest.raises(SettingsError, match="pixel size"):
        run(bare, undo_optics=True, aperture=1.2, wavelength=0.5)
    assert widths(run(bare, psf_sigma=0.9)[1]) == [0.9]


def test_an_ordinary_model_cannot_be_told(stack):
    with pytest.raises(SettingsError, match="--model conditional"):
        run(stack, model=load_model("faithful"), psf_sigma=1.0)


def test_a_width_that_was_never_trained_is_refused(stack):
    with pytest.raises(ModelError, match="coarser level"):
        run(stack, undo_optics=True, aperture=0.3)


@pytest.mark.parametrize(
    "settings",
    [
        {"psf_sigma": 1.0, "undo_optics": True},
        {"aperture": 1.4},
        {"wavelength": 0.5},
        {"psf_sigma": 2.5},
        {"undo_optics": True, "wavelength": 520.0},  # nanometres
    ],
)
def test_settings_that_contradict_each_other_or_physics_are_refused(settings):
    with pytest.raises(ValueError, match=r"psf.sigma|aperture|wavelength"):
        UpscaleSettings(**settings)


@pytest.mark.parametrize("agreement", ["off", "noise", "exact"])
def test_tiles_equal_the_whole_whatever_is_told(stack, agreement, monkeypatch):
    settings = {"psf_sigma": 1.1, "agreement": agreement, "dtype": "float32"}
    whole, _ = run(stack, **settings)
    monkeypatch.setattr(Device, "block", 16)
    tiled, _ = run(stack, **settings)
    # the exact correction amplifies what such a blur loses, rounding included
    tolerance = 1e-4 if agreement == "exact" else 1e-5
    assert np.abs(whole - tiled).max() < tolerance * float(np.ptp(whole))


def test_factor_1_keeps_the_pixels_where_they_are(stack, tmp_path):
    path, _ = run(stack, model=make_model(1), sink=OmeZarrSink(tmp_path / "a.ome.zarr"))
    source, result = open_source(stack).spec, open_source(path).spec
    assert result.axes.shape == source.axes.shape
    for name in "yx":
        assert result.axes[name].scale == source.axes[name].scale
        assert result.axes[name].translate == source.axes[name].translate


def test_the_command_says_the_optics_and_undoes_them(stack, tmp_path):
    shown = CliRunner().invoke(app, ["info", str(stack)])
    assert "DAPI: NA 1.2, 461 nm, wide field: point-spread sigma 0.86 pixels" in (
        shown.output
    )
    card = make_model().card.model_dump(exclude={"sha256"})
    write_bundle(tmp_path / "told-x2", card, make_model().network.state_dict())
    output = tmp_path / "out.ome.zarr"
    words = ["upscale", str(stack), str(output), "--undo-optics", "--na", "0.9"]
    model = ["--model", str(tmp_path / "told-x2.safetensors")]
    done = CliRunner().invoke(app, [*words, *model])
    assert done.exit_code == 0, done.output
    _, record = read_record(output)
    assert widths(record)[0] == pytest.approx(0.9 * 0.225 * 0.461 / 0.9 / PIXEL)
    refused = CliRunner().invoke(app, [*words[:2], "b.ome.zarr", "--na", "0.9", *model])
    assert refused.exit_code == 1
    assert "add undo-optics" in " ".join(refused.output.split())


@pytest.mark.parametrize("photons", [60, 400, 4000])
@pytest.mark.parametrize("sigma", [0.4, 1.0])
@pytest.mark.parametrize("factor", [1, 2])
def test_agreement_within_noise_is_safe_for_models_that_are_told(
    factor, sigma, photons
):
    """To follow the measurement must not bring back the noise that was removed."""
    truth = torch.from_numpy(camera()[None, None, :256, :256] / 255)
    measured = ForwardModel(factor, sigma).measure(
        truth,
        photons=photons,
        read_noise=0.003,
        generator=torch.Generator().manual_seed(0),
    )
    source = open_source(measured[0, 0].float().numpy())
    model = load_model("conditional", factor=factor)
    psnr, told = {}, {}
    for agreement in ("off", "noise", "exact"):
        asked = UpscaleSettings(psf_sigma=sigma, agreement=agreement)
        events = list(iter_upscale(source, model, MemorySink(), settings=asked))
        told[agreement] = [one.message for one in events if isinstance(one, Warned)]
        result = events[-1].output
        psnr[agreement] = peak_signal_noise_ratio(
            truth[0, 0].numpy(), result.astype(np.float64), data_range=1
        )
    assert psnr["noise"] > psnr["off"] - 0.3
    assert not told["noise"]
    if sigma == 1:
        assert psnr["exact"] < psnr["off"] - 10
        # and what is asked for in spite of it is said, with what helps
        assert "amplifies its noise" in told["exact"][0]
        assert "agreement within noise" in told["exact"][0]


def test_agreement_that_follows_much_noise_says_so():
    measured = ForwardModel(2, 0.4).measure(
        torch.from_numpy(camera()[None, None, :256, :256] / 255),
        photons=20,
        read_noise=0.003,
        generator=torch.Generator().manual_seed(0),
    )
    source = open_source(measured[0, 0].float().numpy())
    asked = UpscaleSettings(agreement="noise")
    events = list(
        iter_upscale(source, load_model("faithful"), MemorySink(), settings=asked)
    )
    (message,) = [one.message for one in events if isinstance(one, Warned)]
    assert "of the noise" in message
    assert "agreement off" in message
