import math

import numpy as np
import pytest
import torch
from scipy.stats import kurtosis
from skimage.data import cell

from napari_structsr.benchmark.tracks import make_truth
from napari_structsr.core.intensity import fit_intensity
from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.out_of_distribution import (
    compute_input_statistics,
    describe_outliers,
    find_input_ranges,
)

NAMES = {"noise", "fine_detail", "spots", "headroom", "fill"}


def described(pixels):
    """Normalise an image as a source is, and describe it."""
    intensity = fit_intensity([pixels])
    measured = torch.from_numpy(intensity.normalise(pixels))[None, None]
    gain, floor = intensity.noise_gain, intensity.noise_floor
    variance = measured.clamp_min(0) * gain / intensity.span + floor / intensity.span**2
    return {
        k: float(v) for k, v in compute_input_statistics(measured, variance).items()
    }


def measure(truth, rng, *, psf_sigma=0.4, read_noise=0.005, photons=3000):
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 30)))
    image = torch.from_numpy(np.ascontiguousarray(truth))[None, None].float()
    return (
        ForwardModel(2, psf_sigma)
        .measure(image, photons=photons, read_noise=read_noise, generator=generator)[
            0, 0
        ]
        .numpy()
    )


@pytest.fixture(scope="module")
def fields():
    """Return truths: parts of a light micrograph, and phantoms of discs and lines."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:256, :256]
    out = [make_truth(cell()[y : y + 256, x : x + 256], 4) for y, x in corners(rng, 20)]
    for number in range(40):
        field = np.full((256, 256), 0.05)
        for _ in range(int(rng.integers(10, 60))):
            y, x = rng.uniform(0, 256, 2)
            if number % 2:
                distance = np.hypot(rows - y, columns - x) - rng.uniform(4, 20)
            else:
                turn = rng.uniform(0, math.pi)
                along = (rows - y) * math.cos(turn) + (columns - x) * math.sin(turn)
                distance = np.abs(along) - rng.uniform(0.5, 2)
            field += rng.uniform(0.2, 1) / (1 + np.exp(np.clip(distance, -20, 20)))
        out.append(field / field.max())
    return out


def corners(rng, count):
    height, width = cell().shape
    return zip(
        rng.integers(0, height - 256, count),
        rng.integers(0, width - 256, count),
        strict=True,
    )


def drawn(field, rng):
    """Measure as models are trained: another width and noise each time."""
    return measure(
        field,
        rng,
        psf_sigma=rng.uniform(0.3, 0.5),
        read_noise=math.exp(rng.uniform(math.log(0.001), math.log(0.012))),
        photons=math.exp(rng.uniform(math.log(300), math.log(20000))),
    )


@pytest.fixture(scope="module")
def ranges(fields):
    rng = np.random.default_rng(1)
    return find_input_ranges(
        [described(drawn(field, rng)) for field in fields for _ in range(3)]
    )


# -- what is told and what is not ------------------------------------------------------


def test_images_made_as_in_training_are_familiar(fields, ranges):
    rng = np.random.default_rng(2)
    fired = [
        describe_outliers(described(drawn(field, rng)), ranges) for field in fields
    ]
    assert np.mean([bool(sentences) for sentences in fired]) < 0.08


def single_molecules(field, rng):
    spots = torch.zeros(1, 1, *field.shape)
    where = rng.integers(0, 256, (2, 20))
    spots[0, 0, where[0], where[1]] = 1.0
    spots = smooth(spots, 2.6)
    return measure((spots / spots.max())[0, 0].numpy(), rng)


STRANGE = {
    "noise": lambda field, rng: measure(field, rng, read_noise=0.2),
    "fine_detail": lambda field, rng: measure(field, rng, psf_sigma=3.0),
    "headroom": lambda field, rng: saturated(measure(field, rng)),
    "spots": single_molecules,
}


def saturated(pixels):
    return np.minimum(pixels, np.quantile(pixels, 0.95))


@pytest.mark.parametrize("name", STRANGE)
def test_strange_images_are_told_by_what_is_strange(name, fields, ranges):
    rng = np.random.default_rng(3)
    images = [STRANGE[name](field, rng) for field in fields[::3]]
    told = []
    for pixels in images:
        found = described(pixels)
        alone = {name: ranges[name]}
        told.append(bool(describe_outliers(found, alone)))
        assert set(found) == NAMES
    assert np.mean(told) > 0.9


def test_camera_units_do_not_matter(fields):
    pixels = measure(fields[0], np.random.default_rng(4))
    one, other = described(pixels), described(3000 * pixels.astype(np.float64) + 400)
    for name in NAMES:
        assert other[name] == pytest.approx(one[name], rel=1e-3)


# -- the numbers -----------------------------------------------------------------------


def test_numbers_equal_those_of_numpy_and_scipy(fields):
    values = np.stack([fields[0], fields[25]])[:, None].astype(np.float32)
    values[:, :, 0, 0] = 1.9
    variance = np.full_like(values, 0.02**2)
    variance[1] *= 4
    found = compute_input_statistics(
        torch.from_numpy(values), torch.from_numpy(variance)
    )
    assert {name: tuple(value.shape) for name, value in found.items()} == dict.fromkeys(
        NAMES, (2,)
    )
    np.testing.assert_allclose(found["noise"], [0.02, 0.04], rtol=1e-5)
    for number, image in enumerate(values[:, 0].astype(np.float64)):
        half, high, highest = np.quantile(image, [0.5, 0.99, 0.999])
        assert float(found["fill"][number]) == pytest.approx(half, abs=1e-3)
        headroom = (highest - high) / (highest - half)
        assert float(found["headroom"][number]) == pytest.approx(headroom, abs=0.01)
        grain = float(variance[number].mean())
        steps = (image[4:] - image[:-4]), (image[:, 4:] - image[:, :-4])
        lost = np.mean([(step**2).mean() for step in steps]) / 2 - grain
        share = lost / (image.var() - grain)
        spots = share * np.log10(kurtosis(image, axis=None, fisher=False))
        assert float(found["spots"][number]) == pytest.approx(spots, rel=1e-3)


def test_noise_does_not_count_as_fine_detail(fields):
    rng = np.random.default_rng(5)
    clean = measure(fields[25], rng, photons=1e6, read_noise=0.0)
    noisy = clean + 0.03 * rng.standard_normal(clean.shape).astype(np.float32)
    finer, coarser = (measure(fields[25], rng, psf_sigma=s) for s in (0.3, 1.5))
    found = [described(pixels)["fine_detail"] for pixels in (clean, noisy)]
    assert found[1] == pytest.approx(found[0], rel=0.1)
    assert described(coarser)["fine_detail"] < 0.7 * described(finer)["fine_detail"]


def test_one_hot_pixel_changes_little(fields):
    pixels = measure(fields[25], np.random.default_rng(6))
    hot = pixels.copy()
    hot[40, 40] = 300 * pixels.max()
    one, other = described(pixels), described(hot)
    for name in NAMES:
        assert other[name] == pytest.approx(one[name], rel=0.1)


def test_what_cannot_be_told_is_nan_and_passed_over(ranges):
    flat = torch.full((1, 1, 40, 40), 0.3)
    small = torch.rand(1, 1, 8, 100, generator=torch.Generator().manual_seed(0))
    for values in (flat, small):
        found = compute_input_statistics(values, torch.full_like(values, 1e-4))
        for name in ("fine_detail", "spots", "headroom"):
            assert found[name].isnan().all()
            assert not describe_outliers({name: float(found[name])}, ranges)


# -- ranges and sentences --------------------------------------------------------------


def test_ranges_hold_the_share_of_samples_and_leave_out_the_farthest():
    rng = np.random.default_rng(7)
    samples = [{"noise": n, "fill": f} for n, f in rng.standard_normal((98, 2))]
    samples += [{"noise": 50.0, "fill": 0.0}, {"noise": 0.0, "fill": -60.0}]
    ranges = find_input_ranges(samples)
    inside = [not describe_outliers(sample, ranges) for sample in samples]
    assert inside == [True] * 98 + [False] * 2
    whole = find_input_ranges(samples, share=1.0)
    assert whole["noise"][1] == 50
    assert whole["fill"][0] == -60


def test_ranges_pass_over_nan_and_need_a_sample():
    samples = [{"noise": 0.1, "spots": math.nan}, {"noise": math.nan, "spots": 1.0}]
    assert find_input_ranges(samples) == {"noise": (0.1, 0.1), "spots": (1.0, 1.0)}
    assert find_input_ranges([{"noise": 0.1, "spots": math.nan}]) == {
        "noise": (0.1, 0.1)
    }
    with pytest.raises(ValueError, match="at least one"):
        find_input_ranges([])


def test_sentences_say_what_was_found_and_what_was_seen():
    ranges = {"noise": (0.001, 0.05), "headroom": (0.05, 0.8), "other": (0.0, 1.0)}
    found = {"noise": 0.12, "headroom": 0.0, "other": 2.0}
    assert describe_outliers(found, ranges) == [
        "noise is 0.12 of the range, training saw 0.001 to 0.05",
        "the spread of the brightest pixels is 0 of the range (saturated?), training "
        "saw 0.05 to 0.8",
        "other is 2, training saw 0 to 1",
    ]
    assert describe_outliers({"noise": 0.001, "headroom": 0.8}, ranges) == []
