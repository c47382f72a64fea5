"""The functional is convex, and the tests that say so can tell what is not."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.refinement import refine
from napari_structsr.imaging.structure_loss import (
    StructureWeights,
    data_term,
    gradient_term,
    pixel_term,
    ssim_term,
    structure_terms,
)

A = ForwardModel(2, 0.4)
SIDE = 12


def images(seed, count, *, side=SIDE, contrast=1.0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 1, 1, side, side)
    values = torch.rand(shape, generator=generator, dtype=torch.float64)
    return 0.5 + contrast * (values - 0.5)


def functionals(truth, seed):
    """Each term alone, and all together, as functions of the candidate."""
    generator = torch.Generator().manual_seed(seed)
    measured = A(truth) + 0.02 * torch.randn(
        A(truth).shape, generator=generator, dtype=truth.dtype
    )
    variance = 0.02**2 * (0.5 + measured.clamp_min(0))

    def data(x):
        return data_term(x, measured, A, variance=variance)

    def together(x):
        terms = structure_terms(
            x,
            truth,
            StructureWeights(1.0, 0.1, 0.5, 0.01),
            measured=measured,
            forward_model=A,
            variance=variance,
        )
        return sum(terms.values())

    return {
        "pixel": lambda x: pixel_term(x - truth),
        "ssim": lambda x: ssim_term(x - truth, truth),
        "gradient": lambda x: gradient_term(x - truth, truth),
        "data": data,
        "together": together,
    }


def one_minus_ssim(truth):
    return lambda x: 1 - structural_similarity_index_measure(x, truth, data_range=1.0)


def magnitude_difference(truth):
    def magnitude(x):
        down, right = x.diff(dim=2)[..., :-1], x.diff(dim=3)[..., :-1, :]
        return (down**2 + right**2 + 1e-12).sqrt()

    return lambda x: (magnitude(x) - magnitude(truth)).abs().mean()


def jensen_gap(functional, x, y, share):
    """How far the functional at the mean lies above the mean: <= 0 if convex."""
    mixed = share * functional(x) + (1 - share) * functional(y)
    return float(functional(share * x + (1 - share) * y) - mixed)


def monotonicity(functional, x, y):
    """Return the product of gradient and argument differences: >= 0 if convex."""
    x, y = (image.clone().requires_grad_() for image in (x, y))
    (slope_x,) = torch.autograd.grad(functional(x), x)
    (slope_y,) = torch.autograd.grad(functional(y), y)
    return float(((slope_x - slope_y) * (x - y).detach()).sum())


NAMES = ["pixel", "ssim", "gradient", "data", "together"]


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 0.99))
def test_jensen(name, seed, share):
    truth, x, y = images(seed, 3)
    functional = functionals(truth, seed)[name]
    assert jensen_gap(functional, x, y, share) <= 1e-9 * float(functional(x) + 1)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10**6), contrast=st.floats(0.001, 1))
def test_gradient_is_monotone(name, seed, contrast):
    truth, x, y = images(seed, 3, contrast=contrast)
    assert monotonicity(functionals(truth, seed)[name], x, y) >= -1e-12


@pytest.mark.parametrize("make", [one_minus_ssim, magnitude_difference])
def test_what_is_not_convex_fails_the_same_tests(make):
    """Otherwise passing them would mean nothing."""
    jensen, slopes = [], []
    for seed in range(200):
        truth, x, y = images(seed, 3)
        jensen.append(jensen_gap(make(truth), x, y, 0.5))
        slopes.append(monotonicity(make(truth), x, y))
    assert max(jensen) > 1e-3
    assert min(slopes) < -1e-6


@pytest.mark.parametrize("name", ["pixel", "ssim", "gradient"])
@given(seed=st.integers(0, 10**6))
def test_least_at_the_truth_and_positive_elsewhere(name, seed):
    truth, x = images(seed, 2)
    functional = functionals(truth, seed)[name]
    assert float(functional(truth)) == pytest.approx(0, abs=1e-12)
    assert float(functional(x)) > 1e-4


def test_data_term_is_zero_at_what_was_measured_and_half_at_noise():
    truth, _ = images(1, 2, side=64)
    measured = A(truth)
    variance = torch.full_like(measured, 0.02**2)
    assert float(data_term(truth, measured, A, variance=variance)) < 1e-20
    noise = torch.randn(measured.shape, dtype=torch.float64) * 0.02
    found = float(data_term(truth, measured + noise, A, variance=variance))
    assert found == pytest.approx(0.5, rel=0.15)


@given(seed=st.integers(0, 10**4))
def test_ssim_term_is_one_minus_ssim_to_second_order(seed):
    """scikit-image continues images as we do, so that even borders agree."""
    truth, direction = images(seed, 2, side=24)
    direction = direction - 0.5
    for scale in (1e-2, 1e-3):
        x = truth + scale * direction
        _, similarity = structural_similarity(
            truth[0, 0].numpy(),
            x[0, 0].numpy(),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        exact = 1 - similarity.mean()
        ours = float(ssim_term(x - truth, truth))
        assert abs(ours - exact) < 5 * scale * exact


def test_gradient_term_sees_a_turned_filament_that_magnitude_does_not():
    """Vectors count: a checkered turn keeps every magnitude, and is wrong."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    down, across = torch.sin(0.4 * y)[None, None], torch.sin(0.4 * x)[None, None]
    same = magnitude_difference(down)(down.mT.contiguous().mT)
    assert float(same) == 0
    truth = down.double()
    turned = across.double()
    flat = torch.full_like(truth, float(truth.mean()))
    assert gradient_term(turned - truth, truth) > gradient_term(flat - truth, truth)


def test_edges_weigh_more_than_flat_regions():
    truth = torch.zeros(1, 1, 48, 48, dtype=torch.float64)
    truth[..., 24:] = 1
    bump = torch.zeros_like(truth)
    bump[..., 20:28, 23:25] = 0.1
    at_edge = gradient_term(bump, truth)
    elsewhere = gradient_term(bump.roll(-14, dims=3), truth)
    assert at_edge > 1.2 * elsewhere


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="not convex"):
        StructureWeights(ssim=-0.1)


def test_the_data_term_asks_for_what_it_needs():
    x = torch.rand(1, 1, 8, 8)
    with pytest.raises(ValueError, match="variance"):
        structure_terms(x, x, StructureWeights(data=1.0))


def test_gradients_reach_the_candidate_alone():
    truth = torch.rand(1, 1, 16, 16, requires_grad=True)
    x = torch.rand(1, 1, 16, 16, requires_grad=True)
    # the truth decides the weights, and they are frozen
    frozen = ssim_term(x - truth.detach(), truth) + gradient_term(
        x - truth.detach(), truth
    )
    (slope,) = torch.autograd.grad(frozen, x, retain_graph=True)
    assert slope.abs().max() > 0
    assert torch.autograd.grad(frozen, truth, allow_unused=True)[0] is None


@given(seed=st.integers(0, 50))
def test_refining_never_raises_the_objective_and_helps(seed):
    """A result with invented texture comes nearer to the truth."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48] / 6
    shift = rng.uniform(0, 6)
    truth = torch.from_numpy(0.5 + 0.3 * np.sin(x + shift) * np.cos(y))[None, None]
    measured = A(truth) + 0.005 * torch.from_numpy(rng.standard_normal((24, 24)))
    wrong = truth + 0.1 * torch.from_numpy(np.sin(4 * x + y) * (x > 3))
    refined = refine(wrong, measured, A, variance=torch.tensor(0.005**2))
    steps = np.diff(refined.objective)
    assert len(steps) > 3
    assert (steps <= 0).all()
    before, after = (
        float(((image - truth) ** 2).mean()) for image in (wrong, refined.image)
    )
    assert after < before
    misfit = [
        float(data_term(image, measured, A, variance=torch.tensor(0.005**2)))
        for image in (wrong, refined.image)
    ]
    assert misfit[1] < misfit[0]


def test_refining_what_agrees_changes_nothing():
    truth, _ = images(3, 2, side=24)
    refined = refine(truth, A(truth), A, variance=torch.tensor(0.01**2))
    torch.testing.assert_close(refined.image, truth)
