import warnings

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
)

from napari_structsr.imaging.forward import smooth
from napari_structsr.imaging.similarity import micro_ssim, ms_ssim, ssim, ssim_map


@pytest.fixture(scope="module")
def pair(truth):
    """Return a blurred, noisy result and its truth, 192 x 224 pixels."""
    exact = torch.from_numpy(truth)[None, None]
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
    return smooth(exact, 1.2) + 0.03 * noise, exact


def test_map_and_mean_equal_those_of_scikit_image(pair):
    result, truth = (image.double() for image in pair)
    mean, whole = structural_similarity(
        truth[0, 0].numpy(),
        result[0, 0].numpy(),
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    assert 0.3 < mean < 0.95
    assert abs(float(ssim(result, truth)) - mean) < 1e-9
    found = ssim_map(result, truth)[0, 0].numpy()
    assert found.shape == whole.shape
    np.testing.assert_allclose(found[5:-5, 5:-5], whole[5:-5, 5:-5], atol=1e-9)


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
    assert abs(float(micro_ssim(gain * result + offset, truth)) - expected) < 1e-3


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


def test_a_constant_result_is_scored(pair):
    _, truth = pair
    flat = torch.zeros_like(truth)
    assert 0 <= float(micro_ssim(flat, truth)) < 0.5
