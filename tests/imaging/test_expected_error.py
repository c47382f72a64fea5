"""The expected error: what it follows, and that tiles join."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from skimage import data

from napari_structsr.core.intensity import fit_intensity
from napari_structsr.imaging.expected_error import (
    EXPECTED_ERROR_RADIUS,
    FEATURES,
    TrustInputs,
    expected_error,
    half_width,
    pixel_features,
)
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.models.calibration import TrustCalibration
from napari_structsr.zoo.catalogue import find_card, load_model

MODELS = [(name, factor) for name in ("faithful", "sharp") for factor in (2, 4)]


def shipped(name: str, factor: int) -> TrustCalibration:
    """Return the calibration of a card."""
    calibration = find_card(name, factor=factor).calibration
    assert calibration is not None
    return calibration


def measured_camera(factor: int, *, photons: float) -> tuple[TrustInputs, torch.Tensor]:
    """Upscale an image that no training saw; return inputs and the true error."""
    truth = data.camera()[:384, :512].astype(np.float32)
    truth = (truth - truth.min()) / np.ptp(truth)
    image = torch.from_numpy(truth)[None, None]
    measured = ForwardModel(factor).measure(
        image,
        photons=photons,
        read_noise=0.003,
        generator=torch.Generator().manual_seed(0),
    )
    intensity = fit_intensity([measured[0, 0].numpy()])
    values = torch.from_numpy(intensity.normalise(measured.numpy()))
    noise = values.clamp_min(0) * (intensity.noise_gain / intensity.span)
    variance = noise + intensity.noise_floor / intensity.span**2
    result = load_model("sharp", factor=factor)(values)
    true = torch.from_numpy(intensity.normalise(image.numpy()))
    return TrustInputs(result, variance), (result - true).abs()


@pytest.mark.parametrize(("name", "factor"), MODELS)
def test_tiles_equal_the_whole(name: str, factor: int) -> None:
    random = torch.Generator().manual_seed(1)
    result = torch.rand((1, 1, 40 * factor, 40 * factor), generator=random)
    variance = torch.rand((1, 1, 40, 40), generator=random) * 1e-3
    calibration = shipped(name, factor)
    whole = expected_error(TrustInputs(result, variance), calibration)
    for top, left in ((0, 0), (0, 20), (20, 0), (13, 11)):
        wanted = [slice(top, top + 20), slice(left, left + 20)]
        read = [
            slice(
                max(part.start - EXPECTED_ERROR_RADIUS, 0),
                min(part.stop + EXPECTED_ERROR_RADIUS, 40),
            )
            for part in wanted
        ]
        fine = [slice(part.start * factor, part.stop * factor) for part in read]
        tile = expected_error(
            TrustInputs(result[..., *fine], variance[..., *read]), calibration
        )
        kept = [
            slice((w.start - r.start) * factor, (w.stop - r.start) * factor)
            for w, r in zip(wanted, read, strict=True)
        ]
        place = [slice(part.start * factor, part.stop * factor) for part in wanted]
        torch.testing.assert_close(
            tile[..., *kept], whole[..., *place], rtol=1e-5, atol=1e-6
        )


def test_long_images_equal_their_parts() -> None:
    """What is computed in chunks of rows does not show them."""
    random = torch.Generator().manual_seed(2)
    result = torch.rand((1, 1, 3000, 100), generator=random)
    variance = torch.rand((1, 1, 1500, 50), generator=random) * 1e-3
    calibration = shipped("sharp", 2)
    whole = expected_error(TrustInputs(result, variance), calibration)
    part = expected_error(
        TrustInputs(result[..., 1000:1600, :], variance[..., 500:800, :]), calibration
    )
    torch.testing.assert_close(part[..., 8:-8, :], whole[..., 1008:1592, :])


def test_features_are_what_their_names_say() -> None:
    image = data.camera()[:128, :128].astype(np.float32) / 255
    variance = torch.full((1, 1, 64, 64), 0.02**2)
    features = pixel_features(
        TrustInputs(torch.from_numpy(image)[None, None], variance)
    )
    assert features.shape == (1, len(FEATURES), 128, 128)
    fine = image.astype(np.float64)
    mean, square = (uniform_filter(power, 9) for power in (fine, fine**2))
    expected = np.log(np.sqrt(np.maximum(square - mean**2, 0)) + 5e-4)
    inside = np.s_[8:-8, 8:-8]
    around = features[0, FEATURES.index("deviation around")].numpy()
    np.testing.assert_allclose(around[inside], expected[inside], atol=1e-3)
    noise = features[0, FEATURES.index("noise")].numpy()
    np.testing.assert_allclose(noise, np.log(0.0205), atol=1e-3)


@pytest.mark.parametrize("factor", [2, 4])
def test_errors_are_ranked_and_sized(factor: int) -> None:
    inputs, error = measured_camera(factor, photons=4000)
    calibration = shipped("sharp", factor)
    expected = expected_error(inputs, calibration)
    blocks = [
        torch.nn.functional.avg_pool2d(image, 16).flatten().numpy()
        for image in (expected, error)
    ]
    order = [np.argsort(np.argsort(block)) for block in blocks]
    assert np.corrcoef(order)[0, 1] > 0.7
    assert 0.4 < float(expected.mean() / error.mean()) < 2.5
    inside = error <= half_width(inputs, calibration)
    assert 0.8 < float(inside.float().mean()) <= 1


def test_more_noise_more_error() -> None:
    expected = [
        float(
            expected_error(measured_camera(2, photons=n)[0], shipped("sharp", 2)).mean()
        )
        for n in (20000, 4000, 1000, 300)
    ]
    assert expected == sorted(expected)


def test_higher_levels_are_wider() -> None:
    inputs, _ = measured_camera(2, photons=4000)
    widths = [
        float(half_width(inputs, shipped("sharp", 2), level=level).mean())
        for level in (0.8, 0.9, 0.95)
    ]
    assert widths == sorted(widths)


def test_a_gain_of_the_camera_changes_nothing_but_the_unit() -> None:
    """Errors are shares of the range: images of other gain have the same map."""
    truth = data.camera()[:128, :128].astype(np.float32)
    maps = []
    for gain, offset in ((1.0, 0.0), (7.5, 100.0)):
        pixels = truth[::2, ::2] * gain + offset
        intensity = fit_intensity([pixels])
        values = torch.from_numpy(intensity.normalise(pixels))[None, None]
        variance = torch.full_like(values, intensity.noise_floor / intensity.span**2)
        variance += values.clamp_min(0) * (intensity.noise_gain / intensity.span)
        result = load_model("sharp", factor=2)(values)
        expected = expected_error(TrustInputs(result, variance), shipped("sharp", 2))
        maps.append(expected.numpy())
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-2)
