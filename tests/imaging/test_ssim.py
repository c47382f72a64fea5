import warnings

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
)

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.ssim import (
    SSIM_RADIUS,
    micro_ssim,
    ms_ssim,
    score_similarity,
    ssim,
    ssim_map,
)


@pytest.fixture(scope="module")
def pair(truth):
    """Return a blurred, noisy result and its truth, 192 x 224 pixels."""
    exact = torch.from_numpy(truth)[None, None]
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
    return smooth(exact, 1.2) + 0.03 * noise, exact


def of_scikit_image(result, truth, data_range=1.0):
    """Return the mean and the map of scikit-image, in float64."""
    return structural_similarity(
        truth[0, 0].double().numpy(),
        result[0, 0].double().numpy(),
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )


def test_map_and_mean_equal_those_of_scikit_image(pair):
    result, truth = (image.double() for image in pair)
    mean, whole = of_scikit_image(result, truth)
    assert 0.3 < mean < 0.95
    assert abs(float(ssim(result, truth)) - mean) < 1e-9
    found = ssim_map(result, truth)[0, 0].numpy()
    assert found.shape == whole.shape
    np.testing.assert_allclose(found[5:-5, 5:-5], whole[5:-5, 5:-5], atol=1e-9)


@pytest.mark.parametrize(
    ("gain", "offset", "data_range"),
    [(1, 0, 1), (0.1, 0.9, 1), (0.02, 5, 1), (0.1, -0.3, 0.1), (4000, 90, 4095)],
)
def test_map_of_float32_is_as_exact_on_any_offset(pair, gain, offset, data_range):
    result, truth = (gain * image + offset for image in pair)
    _, whole = of_scikit_image(result, truth, data_range)
    found = ssim_map(result, truth, data_range=data_range)
    assert found.dtype == torch.float32
    inner = np.s_[5:-5, 5:-5]
    np.testing.assert_allclose(found[0, 0].numpy()[inner], whole[inner], atol=2e-6)


def test_map_is_the_same_in_tiles_and_in_chunks(pair, tiled):
    wide = [image.repeat(1, 1, 2, 6) for image in pair]  # computed in chunks
    for images in (pair, [0.02 * image + 5 for image in pair], wide):
        whole = ssim_map(*images)
        pieces = tiled(ssim_map, *images, radius=SSIM_RADIUS, tile=(120, 500))
        torch.testing.assert_close(pieces, whole, atol=1e-6, rtol=0)


def test_map_sees_an_erased_line_and_a_bright_gain_hardly_at_all(pair):
    _, erased = pair
    truth = erased.clone()
    truth[..., 100:103, 60:160] += 0.3
    found = ssim_map(erased, truth)
    assert found[..., 98:105, 65:155].min() < 0.6
    assert (found[..., :94, :] == 1).all()
    assert (found[..., 109:, :] == 1).all()
    # its blind spot: where the image is bright it forgives a gain
    bright = 1 + truth
    assert ssim_map(1.1 * bright, bright).min() > 0.97


def test_constant_and_equal_images_are_scored(pair):
    _, truth = pair
    for level in (0.0, 0.7, 5.0):
        flat = torch.full_like(truth, level)
        for measure in (ssim, ms_ssim, micro_ssim):
            assert float(measure(flat, flat)) == 1
            assert 0 <= float(measure(flat, truth)) < 0.7
            assert 0 <= float(measure(truth, flat)) < 0.7
        assert (ssim_map(flat, flat) == 1).all()
    assert (ssim_map(truth, truth) == 1).all()
    specks = torch.ones_like(truth)
    specks[..., ::40, ::40] = 0  # fewer than the percentile
    assert float(micro_ssim(specks, specks)) == pytest.approx(1)


@pytest.mark.parametrize("side", [176, 192])
def test_five_scales_equal_those_of_torchmetrics(pair, side):
    result, truth = (image[..., :side, :side] for image in pair)
    expected = multiscale_structural_similarity_index_measure(
        result, truth, data_range=1.0
    )
    assert abs(float(ms_ssim(result, truth)) - float(expected)) < 1e-4


def test_small_images_have_fewer_scales_with_weights_of_the_sum_one(pair):
    result, truth = (image[..., :50, :60] for image in pair)
    betas = (0.0448, 0.2856, 0.3001)
    expected = multiscale_structural_similarity_index_measure(
        result, truth, data_range=1.0, betas=tuple(b / sum(betas) for b in betas)
    )
    assert abs(float(ms_ssim(result, truth)) - float(expected)) < 1e-4


@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (0.4, 0.1), (3, -0.2)])
def test_micro_ssim_equals_that_of_its_authors(pair, gain, offset):
    result, truth = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from microssim import micro_structural_similarity

        expected = micro_structural_similarity(
            truth[0, 0].double().numpy(),
            (gain * result + offset)[0, 0].double().numpy(),
        )
    assert abs(float(micro_ssim(gain * result + offset, truth)) - expected) < 1e-4


def test_micro_ssim_of_a_noisy_image_of_huge_range_equals_that_of_its_authors(pair):
    _, exact = pair
    truth = 10 ** (9 * exact.double())  # few bright pixels in the noise of the result
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    result = smooth(truth, 1.0) + 0.05 * truth.max() * noise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from microssim import micro_structural_similarity

        expected = micro_structural_similarity(
            truth[0, 0].numpy(), result[0, 0].numpy()
        )
    assert abs(float(micro_ssim(result, truth)) - expected) < 1e-4


def test_micro_ssim_does_not_see_gain_and_offset_but_ssim_does(pair):
    _, truth = pair
    result = smooth(truth, 0.8)
    assert abs(micro_ssim(0.5 * result + 0.3, truth) - micro_ssim(result, truth)) < 1e-4
    assert ssim(0.5 * result + 0.3, truth) < ssim(result, truth) - 0.1


def test_images_are_scored_one_by_one_and_the_truth_scores_one(pair):
    result, truth = pair
    both = torch.cat([result, truth])
    for measure in (ssim, ms_ssim, micro_ssim):
        scores = measure(both, torch.cat([truth, truth]))
        assert scores.shape == (2,)
        assert abs(float(scores[0]) - float(measure(result, truth))) < 1e-6
        assert float(scores[1]) == pytest.approx(1, abs=1e-6)
        assert scores[0] < 0.95


@pytest.mark.parametrize("part", [np.s_[...], np.s_[..., :50, :60], np.s_[..., :18, :]])
def test_scores_made_together_equal_those_made_one_by_one(pair, part):
    result, truth = (image[part] for image in pair)
    result = 0.6 * result + 0.2
    together = score_similarity(result, truth)
    for found, measure in zip(together, (ssim_map, ms_ssim, micro_ssim), strict=True):
        torch.testing.assert_close(found, measure(result, truth), atol=1e-6, rtol=0)
    flat = torch.full_like(truth, 0.3)
    assert float(score_similarity(flat, flat).micro_ssim) == 1
    assert float(score_similarity(result, flat).micro_ssim) == 0
