"""Inspecting a result of a model that was told the optics."""

import numpy as np
import pytest
import tifffile
import torch
from skimage.metrics import peak_signal_noise_ratio

import napari_structsr as sr
from napari_structsr.engine.provenance import find_record
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.inspection.told_optics import find_told
from napari_structsr.io.weights import write_bundle

WIDTH = 0.8


@pytest.fixture
def model(make_told_model, tmp_path):
    """Write a conditional model; return it as a user loads it."""
    made = make_told_model(tail=0.02, name="conditional")
    path = tmp_path / "conditional-x2"
    card = made.card.model_dump(exclude={"sha256"})
    write_bundle(path, card, made.network.state_dict())
    return sr.load_model(f"{path}.safetensors")


def test_maps_take_the_optics_that_the_model_was_told(truth, model, tmp_path):
    """What agrees with the measurement by one width departs from it by another."""
    image = torch.from_numpy(truth)[None, None]
    blurred = ForwardModel(2, WIDTH)(image)[0, 0].numpy()
    noise = np.random.default_rng(0).normal(0, 0.01, blurred.shape)
    measured = ((blurred + noise) * 10_000).astype(np.float32)
    source = sr.open_source(measured)
    largest = {}
    for width in (WIDTH, 0.35):
        settings = sr.UpscaleSettings(
            psf_sigma=width, agreement="exact", device="cpu", precision="float32"
        )
        path = sr.result_of(
            sr.iter_upscale(
                source,
                model,
                sr.OmeZarrSink(tmp_path / f"{width}.ome.zarr"),
                settings=settings,
            )
        )
        found = sr.result_of(
            sr.iter_inspect(
                path,
                source=source,
                settings=sr.InspectSettings(maps=("residual", "spread"), device="cpu"),
            )
        )
        # each agrees with the measurement through the optics it was made with
        largest[width] = float(np.abs(found.maps["residual"]).max())
        assert np.isfinite(found.maps["spread"]).all()
    assert largest[WIDTH] < 0.2
    assert largest[0.35] < 0.2


def test_undone_optics_are_no_artefact_of_a_model_that_undoes_the_same(truth, tmp_path):
    blurred = ForwardModel(2, 1.0)(torch.from_numpy(truth)[None, None])[0, 0].numpy()
    noise = np.random.default_rng(0).normal(0, 0.01, blurred.shape)
    measured = ((blurred + noise).clip(0) * 10_000).astype(np.uint16)
    means = {}
    for sharpness in (0.0, 1.0):
        path = sr.upscale(
            measured,
            tmp_path / f"{sharpness}.ome.zarr",
            model="sharp-conditional",
            sharpness=sharpness,
            psf_sigma=1.0,
        )
        found = sr.inspect(path, source=measured)
        means[sharpness] = float(np.mean(found.maps["artefact"]))
    # the faithful end is conditional itself
    assert means[0.0] > 0.99999
    assert means[1.0] < means[0.0] - 3e-5
    record = find_record(sr.open_source(path))
    [(width, noise)] = find_told(record, count=1)
    assert width == 1.0
    assert noise == record.model["optics"][0]["noise"]
    # what was told of another number of channels says nothing of these
    assert find_told(record, count=2) == ()
    # and conditional is compared with the sharp one
    path = sr.upscale(
        measured, tmp_path / "c.ome.zarr", model="conditional", psf_sigma=1.0
    )
    other = float(np.mean(sr.inspect(path, source=measured).maps["artefact"]))
    assert other == pytest.approx(means[1.0], abs=3e-5)


def test_blur_that_no_shipped_model_knows_leaves_artefacts_out(
    truth, tmp_path, make_told_model
):
    made = make_told_model(tail=0.02, name="wide")
    card = made.card.model_dump(exclude={"sha256"}) | {"psf_range": (0.25, 3.0)}
    path = tmp_path / "wide-x2"
    write_bundle(path, card, made.network.state_dict())
    pixel = {f"PhysicalSize{axis}": 0.16 for axis in "XY"}
    image = tmp_path / "measured.ome.tif"
    measured = (truth[::2, ::2] * 10_000).astype(np.uint16)
    tifffile.imwrite(image, measured, metadata={"axes": "YX", **pixel})
    # a Gaussian of 2.5 pixels
    settings = sr.UpscaleSettings(
        undo_optics=True, aperture=0.3, wavelength=0.6, confocal=False, device="cpu"
    )
    result = sr.result_of(
        sr.iter_upscale(
            sr.open_source(image),
            sr.load_model(f"{path}.safetensors"),
            sr.OmeZarrSink(tmp_path / "out.ome.zarr"),
            settings=settings,
        )
    )
    found = sr.inspect(result)
    assert "residual" in found.maps
    assert "artefact" not in found.maps
    assert any("more blur was undone" in note for note in found.notes)


@pytest.mark.parametrize("model", ["conditional", "sharp-conditional"])
def test_a_result_of_the_same_pixels_is_inspected_like_any_other(
    truth, tmp_path, model
):
    random = np.random.default_rng(0)
    blurred = ForwardModel(1, 1.0)(torch.from_numpy(truth)[None, None])[0, 0].numpy()
    measured = random.poisson(blurred.clip(0) * 1000).astype(np.uint16)
    path = sr.upscale(
        measured, tmp_path / "out.ome.zarr", model=model, factor=1, psf_sigma=1.0
    )
    reference = (truth * 1000).astype(np.float32)
    found = sr.inspect(path, source=measured, reference=reference)
    assert {"residual", "squirrel", "null_space", "trust", "ssim"} <= set(found.maps)
    assert {values.shape[-2:] for values in found.maps.values()} == {truth.shape}
    means = found.scores.means()
    low, high = np.percentile(reference, (0.1, 99.9))
    expected = peak_signal_noise_ratio(
        reference, measured.astype(np.float32), data_range=high - low
    )
    # with no pixel finer, interpolation leaves the source as it is
    assert means["psnr_bicubic"] == pytest.approx(expected, abs=0.2)
    assert means["psnr"] > means["psnr_bicubic"] + 1
