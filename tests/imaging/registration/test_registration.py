import numpy as np
import pytest
from scipy import ndimage
from skimage import data
from skimage.color import rgb2gray
from skimage.registration import phase_cross_correlation

from napari_structsr.imaging.psf_fit import fit_forward_model, upsample
from napari_structsr.imaging.registration import apply, register, scale_hint

IMAGES = {
    "camera": lambda: data.camera().astype(float),
    "cell": lambda: data.cell()[100:500, 50:450].astype(float),
    "tissue": lambda: rgb2gray(data.immunohistochemistry()) * 255,
    "gravel": lambda: data.gravel().astype(float),
    "coins": lambda: data.coins().astype(float),
}


def placed(image, size=144, *, shift=(0.0, 0.0), scale=1.0):
    """Cut the middle out of an image, displaced: what `register` shall undo."""
    top = [(full - size) // 2 for full in image.shape]
    middle = (size - 1) / 2
    lines = [
        first + middle + scale * (np.arange(size) - middle) + by
        for first, by in zip(top, shift, strict=True)
    ]
    grid = np.meshgrid(*lines, indexing="ij")
    return ndimage.map_coordinates(image, grid, order=5, mode="mirror")


def misplaced(found, shift, scale=1.0, size=144):
    """Return the largest error of the place of any pixel."""
    off = np.abs(np.subtract(found.shift, shift)).max()
    return off + abs(found.scale - scale) * size / 2


def noisy(image, level, seed):
    rng = np.random.default_rng(seed)
    return image + rng.normal(0, level * np.ptp(image), image.shape)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(
    ("shift", "scale"),
    [
        ((0.0, 0.0), 1.0),
        ((2.37, -5.81), 1.0),
        ((-0.43, 3.2), 0.982),
        ((9.6, 0.5), 1.018),
    ],
)
def test_shift_and_scale_are_found_or_refused(name, shift, scale):
    """Noise, another blur, brightness and an inverted contrast change nothing."""
    image = IMAGES[name]()
    fixed = ndimage.gaussian_filter(placed(image), 0.9)
    moving = placed(image, shift=shift, scale=scale)
    number = list(IMAGES).index(name)
    sign = -1 if number % 2 else 1
    found = register(
        sign * 3.7 * noisy(moving, 0.01, number) + 90,
        noisy(fixed, 0.01, 50 + number),
        with_scale=scale != 1,
    )
    assert found.refused is None
    assert misplaced(found, shift, scale) < 0.1
    assert np.sign(found.correlation) == sign
    assert found.uncertainty < 0.05
    assert 0.4 < found.confidence <= 1


def test_agrees_with_phase_correlation():
    """On images that go round, scikit-image is exact."""
    image = placed(IMAGES["camera"](), 128)
    spectrum = ndimage.fourier_shift(np.fft.fftn(image), (4.31, -2.63))
    moved = np.fft.ifftn(spectrum).real
    theirs = phase_cross_correlation(moved, image, upsample_factor=200)[0]
    ours = register(image, moved)
    assert ours.refused is None
    np.testing.assert_allclose(ours.shift, theirs, atol=0.03)


def test_applied_images_lie_on_each_other():
    image = IMAGES["cell"]()
    fixed = placed(image)
    moving = placed(image, shift=(3.3, -1.6), scale=1.011)
    found = register(moving, fixed, with_scale=True)
    inner = (slice(12, -12),) * 2
    before = np.abs(moving - fixed)[inner].mean()
    after = np.abs(apply(found, moving) - fixed)[inner].mean()
    assert after < 0.05 * before


def test_the_other_way_round_is_the_inverse():
    image = IMAGES["tissue"]()
    fixed, moving = placed(image), placed(image, shift=(2.2, 6.7))
    there, back = register(moving, fixed), register(fixed, moving)
    np.testing.assert_allclose(there.shift, np.negative(back.shift), atol=0.01)


def test_pixels_that_are_not_known_do_not_count():
    image = IMAGES["camera"]()
    fixed, moving = placed(image), placed(image, shift=(1.4, -3.7))
    fixed[:, :30] = np.nan
    moving[120:] = np.nan
    moving[np.random.default_rng(0).random(moving.shape) < 0.01] = np.inf
    found = register(moving, fixed)
    assert found.refused is None
    assert misplaced(found, (1.4, -3.7)) < 0.1
    moved = apply(found, moving)
    known = np.isfinite(moved)
    assert not known[130:].any()
    assert known[10:110].mean() > 0.8
    inner = (slice(8, -8),) * 2
    off = np.abs(moved - fixed)[inner][(known & np.isfinite(fixed))[inner]]
    assert np.mean(off) < 2


def test_a_large_image_is_laid_by_its_detail():
    """The scale is about the middle of the image, not of the part that was used."""
    blank = np.full((840, 800), 60.0)
    image = IMAGES["gravel"]()
    blank[40:552, 60:572] = image
    shift, scale = (3.4, -2.7), 1.01
    moving = placed(np.pad(blank, 20), 800, shift=shift, scale=scale)
    fixed = placed(np.pad(blank, 20), 800)
    found = register(noisy(moving, 0.01, 1), noisy(fixed, 0.01, 2), with_scale=True)
    assert found.refused is None
    assert misplaced(found, shift, scale, 0) < 0.1
    assert abs(found.scale - scale) < 2e-4


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", ["cell", "camera", "gravel"])
def test_a_fine_image_is_laid_on_a_coarse_one(name, factor):
    image = IMAGES[name]()
    size, shift = 192, (2.83, -1.38)
    blurred = ndimage.gaussian_filter(placed(image, size), 0.5 * factor)
    coarse = blurred.reshape(size // factor, factor, -1, factor).mean(axis=(1, 3))
    truth = placed(image, size, shift=shift)
    seen = fit_forward_model(truth, noisy(0.2 * coarse + 7, 0.01, 3), factor=factor)
    assert seen.registration.refused is None
    assert misplaced(seen.registration, shift) < 0.1 * factor
    assert seen.gain == pytest.approx(0.2, rel=0.05)
    assert seen.offset == pytest.approx(7, abs=0.05 * np.ptp(coarse) * 0.2)
    assert seen.psf_sigma == pytest.approx(0.5, abs=0.12)


def test_enlarging_keeps_edges_and_means():
    image = IMAGES["cell"]()[:60, :80]
    large = upsample(image, 4)
    assert large.shape == (240, 320)
    assert large.mean() == pytest.approx(image.mean(), rel=1e-3)
    ramp = upsample(np.add.outer(np.arange(20.0), np.zeros(20)), 2)
    np.testing.assert_allclose(ramp[16:24, 0], np.arange(16, 24) / 2 - 0.25, atol=1e-3)


def stripes(size, period, *, other=0.0, phase=0.0):
    line = np.sin(2 * np.pi * (np.arange(size) + phase) / period)
    return line[:, None] + other * line[None, :]


@pytest.mark.parametrize(
    ("moving", "fixed", "word"),
    [
        (placed(IMAGES["camera"]()), placed(IMAGES["gravel"]()), "common"),
        (placed(IMAGES["cell"]()), placed(IMAGES["coins"]()), "common"),
        (np.full((64, 64), 3.0), placed(IMAGES["camera"](), 64), "flat"),
        (placed(IMAGES["camera"](), 20), placed(IMAGES["camera"](), 20), "too few"),
        (noisy(np.ones((96, 96)) + np.eye(96), 1, 1), np.eye(96)[::-1], ""),
        (stripes(128, 9), stripes(128, 9, phase=3), ""),
        (
            stripes(128, 12, other=1) + noisy(np.eye(128), 0.2, 1),
            stripes(128, 12, other=1, phase=3) + noisy(np.eye(128), 0.2, 2),
            "repeat",
        ),
        (np.full((64, 64), np.nan), placed(IMAGES["camera"](), 64), "flat"),
    ],
)
def test_what_cannot_be_trusted_is_refused_in_words(moving, fixed, word):
    found = register(moving, fixed, with_scale=True)
    assert found.refused is not None
    assert word in found.refused
    found = register(moving, fixed)
    assert found.refused is not None


def test_a_shift_beyond_the_limit_is_refused():
    image = IMAGES["camera"]()
    found = register(placed(image, shift=(60, 0)), placed(image))
    assert found.refused is not None


def test_a_turn_is_refused_and_not_averaged_away():
    image = IMAGES["camera"]()
    turned = ndimage.rotate(image, 1.0, reshape=False, order=3, mode="mirror")
    found = register(placed(turned), placed(image))
    assert found.refused is not None
    assert "turned" in found.refused or "disagree" in found.refused


def test_a_scale_that_was_not_asked_for_is_refused():
    image = IMAGES["camera"]()
    found = register(placed(image, scale=1.012), placed(image))
    assert found.refused is not None
    assert "scale" in found.refused or "disagree" in found.refused


def test_quite_another_scale_is_recognised():
    image = IMAGES["camera"]()
    fixed = placed(image, 144)
    hint = scale_hint(placed(image, 144, scale=1.25), fixed)
    assert hint == pytest.approx(1.25, abs=0.01)
    assert scale_hint(placed(IMAGES["gravel"](), 144), fixed) is None
