"""What an inspection says it found: places that are unusual, and one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from napari_structsr.core.error_map import MAPS, choose_first_maps
from napari_structsr.engine.events import result_of
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.findings import compare_with_bicubic
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.worst_places import SquareMeans, merge_worst

SIDE = 256
FILAMENT = (slice(90, 94), slice(60, 130))


def _list_places(*planes: np.ndarray, key: str, factor: int = 2, count: int = 20):
    found, samples = [], []
    for number, values in enumerate(planes):
        squares = SquareMeans(32, values.shape, factor=factor)
        squares.add(key, values, *(slice(0, size) for size in values.shape))
        found += squares.rank(count + 1, plane={"z": number})
        samples.append(squares.sample())
    return merge_worst(found, samples, count=count)


@pytest.fixture(scope="module")
def scene():
    """Return a measured image and its truth: filaments, with noise of photons."""
    import torch
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(3)
    lines = np.abs(gaussian_filter(random.normal(size=(SIDE, SIDE)), 6))
    truth = np.exp(-((lines / lines.std()) ** 2) * 4) * 0.6 + 0.1
    truth[FILAMENT] = 0.9
    truth = gaussian_filter(truth, 1.0)
    forward = ForwardModel(2, 0.4)
    clean = forward(torch.from_numpy(truth)[None, None].float())[0, 0].numpy()
    measured = random.poisson(clean * 2000) / 2000
    return (
        (measured * 4000 + 100).astype(np.float32),
        (truth * 4000 + 100).astype(np.float32),
    )


def _inspect(result, reference, source, **settings):
    chosen = InspectSettings(device="cpu", place=32, **settings)
    return result_of(iter_inspect(result, reference, source=source, settings=chosen))


def test_a_right_result_holds_nothing_unusual(scene):
    measured, truth = scene
    found = _inspect(truth, None, measured, maps=("residual", "squirrel", "null_space"))
    assert found.worst == ()
    assert (
        found.sentence == "Nothing unusual was found; 100% of the image is supported."
    )


def test_an_erased_filament_is_the_first_place_and_counted(scene):
    measured, truth = scene
    erased = truth.copy()
    erased[84:100, 60:130] = truth[84:100, 60:130].mean()
    found = _inspect(erased, None, measured, maps=("residual", "squirrel"))
    places = [place for place in found.worst if place.map == "residual"]
    first = places[0]
    assert found.worst[0].map == "residual"
    assert first.rows[0] < 94
    assert first.rows[1] > 90
    assert 40 < first.columns[0] < 130
    number = len(places)
    assert f"{number} place" in found.sentence
    assert "from the measurement by more than 4 times its noise" in found.sentence
    share = np.mean(found.maps["residual"] <= 4)
    assert f"{share:.0%} of the image is supported" in found.sentence


def test_gain_over_bicubic_is_that_of_scikit_image(scene):
    import torch
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    measured, truth = scene
    base = torch.nn.functional.interpolate(
        torch.from_numpy(measured)[None, None], scale_factor=2, mode="bicubic"
    )[0, 0].numpy()
    result = 0.2 * base + 0.8 * truth
    low, high = 100.0, 4100.0
    found = _inspect(result, truth, measured, maps=("ssim",), data_range=(low, high))
    psnr, ssim, _ = compare_with_bicubic(found.scores.means())
    span = high - low
    for one, image in (("result", result), ("bicubic", base)):
        dB = peak_signal_noise_ratio(truth, image, data_range=span)
        similar = structural_similarity(
            truth,
            image,
            data_range=span,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        # the filter of the interpolation differs a little from that of torch
        close = 1e-3 if one == "result" else 0.02
        assert getattr(psnr, one) == pytest.approx(dB, rel=close)
        assert getattr(ssim, one) == pytest.approx(similar, rel=close)
    assert f"{psnr.gain:.1f} dB and {ssim.gain:.2f} SSIM better" in found.sentence

    worse = _inspect(base, truth, measured, maps=("ssim",), data_range=(low, high))
    assert "as good as bicubic" in worse.sentence


def test_doubts_stand_beside_the_maps_they_weaken(scene):
    measured, truth = scene
    found = _inspect(truth[::-1].copy(), truth, measured, maps=("ssim", "residual"))
    assert set(found.doubts) <= {"ssim", "residual"}
    for sentences in found.doubts.values():
        assert set(sentences) <= set(found.notes)
    assert "Warnings concern" in found.sentence


def test_the_list_ends_where_the_usual_begins():
    random = np.random.default_rng(0)
    planes = [random.exponential(1.0, (SIDE, SIDE)) for _ in range(2)]
    assert _list_places(*planes, key="squirrel") == ((), ())
    planes[1][100:116, 40:56] += 20
    (first, *others), cut = _list_places(*planes, key="squirrel")
    assert first.plane == {"z": 1}
    assert first.rows[0] < 116
    assert first.rows[1] > 100
    assert all(place.plane == {"z": 1} for place in others)
    assert cut == ()
    assert _list_places(*planes, key="squirrel", count=0) == ((), ("squirrel",))


def test_a_bad_plane_of_a_stack_is_listed():
    planes = [np.full((SIDE, SIDE), 0.99) for _ in range(4)]
    planes[2] -= 0.5
    places, _ = _list_places(*planes, key="ssim", count=3)
    assert [place.plane for place in places] == [{"z": 2}] * 3


@pytest.mark.parametrize("factor", [2, 4])
def test_single_pixels_of_noise_are_no_places(factor):
    random = np.random.default_rng(1)
    noise = np.abs(random.normal(size=(SIDE // factor, SIDE // factor)))
    residual = noise.repeat(factor, 0).repeat(factor, 1)
    assert _list_places(residual, key="residual", factor=factor) == ((), ())
    residual[40 : 40 + factor, 40 : 40 + factor] = 30
    assert _list_places(residual, key="residual", factor=factor) == ((), ())
    residual[40 : 40 + 4 * factor, 40 : 40 + 4 * factor] = 5
    (place, *_), _ = _list_places(residual, key="residual", factor=factor)
    assert place.rows[0] <= 40 < place.rows[1]


def test_structure_comes_first_with_a_reference():
    assert choose_first_maps(MAPS) == ("ssim", "residual", "artefact")
    alone = [key for key in MAPS if not MAPS[key].needs_reference]
    assert choose_first_maps(alone) == ("residual", "trust", "artefact")
    assert choose_first_maps(["error", "gradient"]) == ("gradient", "error")
