import math

import pytest
import torch
from torch.nn import functional as F

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.models.discriminator import PatchDiscriminator, PlainDiscriminator
from napari_structsr.training.feature_losses import GaborTexture
from napari_structsr.training.losses import (
    adversarial_loss,
    discriminator_loss,
    generator_terms,
)
from napari_structsr.training.patch_sampler import PatchBatch
from napari_structsr.training.recipe import LossConfig


def logits(seed):
    return torch.randn(6, 1, generator=torch.Generator().manual_seed(seed))


def test_relativistic_average_is_that_of_the_paper():
    """Jolicoeur-Martineau 2018, written out with probabilities."""
    fake, real = logits(0), logits(1)
    real_than_fake = torch.sigmoid(real - fake.mean())
    fake_than_real = torch.sigmoid(fake - real.mean())
    critic = -(real_than_fake.log().mean() + (1 - fake_than_real).log().mean()) / 2
    maker = -(fake_than_real.log().mean() + (1 - real_than_fake).log().mean()) / 2
    torch.testing.assert_close(
        discriminator_loss(fake, real, relativistic=True), critic
    )
    torch.testing.assert_close(adversarial_loss(fake, real, relativistic=True), maker)


@pytest.mark.parametrize("relativistic", [True, False])
def test_losses_pull_both_ways(relativistic):
    """Each side gains from what the other loses by; undecided is log 2."""
    fake, real = logits(0), logits(1)
    told = [
        adversarial_loss(fake + shift, real, relativistic=relativistic)
        for shift in (-1, 0, 1)
    ]
    assert told[0] > told[1] > told[2]
    learned = [
        discriminator_loss(fake + shift, real, relativistic=relativistic)
        for shift in (-1, 0, 1)
    ]
    assert learned[0] < learned[1] < learned[2]
    same = torch.zeros(3, 1)
    for loss in (adversarial_loss, discriminator_loss):
        found = float(loss(same, same, relativistic=relativistic))
        assert found == pytest.approx(math.log(2))


def test_terms_are_weighted_and_named():
    model = ForwardModel(2, 0.4)
    truth = torch.rand(2, 1, 32, 32)
    measured = model(truth)
    pairs = PatchBatch(measured, truth, torch.full_like(measured, 1e-4), model)
    candidate = truth + 0.1
    config = LossConfig(mse=2.0, pixel=1.0, ssim=0.1, gradient=0.2, data=0.3, texture=2)
    texture = GaborTexture()
    terms = generator_terms(candidate, pairs, config, {"texture": texture})
    assert set(terms) == {"mse", "pixel", "ssim", "gradient", "data", "texture"}
    assert terms["texture"] == 2 * texture(candidate, truth)
    assert float(terms["mse"]) == pytest.approx(2 * 0.01, rel=1e-4)
    assert float(terms["pixel"]) == pytest.approx(0.1, rel=0.02)
    assert float(terms["gradient"]) == pytest.approx(0, abs=1e-6)
    exact = generator_terms(truth, pairs, config, {"texture": texture})
    assert float(sum(exact.values())) < 1e-6


def test_texture_ignores_phase_and_sees_blur():
    """Texture that moved by a little costs less than texture that is gone."""
    texture = GaborTexture()
    truth = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    truth = smooth(truth, 1.0)
    assert float(texture(truth, truth)) == 0
    moved, blurred = truth.roll(1, dims=3), smooth(truth, 2.0)
    assert F.mse_loss(moved, truth) > 0.5 * F.mse_loss(blurred, truth)
    assert texture(moved, truth) < 0.5 * texture(blurred, truth)


def test_conditional_discriminator_sees_the_measurement_and_the_other_does_not():
    torch.manual_seed(0)
    candidate, measured = torch.rand(2, 1, 64, 64), torch.rand(2, 1, 32, 32)
    for conditional in (True, False):
        discriminator = PatchDiscriminator(2, width=8, conditional=conditional).eval()
        answer = discriminator(candidate, measured)
        assert answer.shape == (2, 1, 16, 16)
        turned = discriminator(candidate, measured.flip(2))
        assert torch.allclose(answer, turned, atol=1e-6) is not conditional


def test_brightness_is_no_clue():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(4, width=8).eval()
    candidate, measured = torch.rand(1, 1, 64, 64), torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(
        discriminator(candidate, measured), discriminator(candidate + 5, measured + 5)
    )


def test_plain_discriminator_has_the_published_shape():
    """SRGAN counts 96 pixels down to 6, from 64 channels up to 512."""
    discriminator = PlainDiscriminator(96)
    assert discriminator.verdict[1].in_features == 512 * 6 * 6
    assert discriminator.verdict[1].out_features == 1024
    small = PlainDiscriminator(32, width=4)
    assert small(torch.rand(3, 1, 32, 32), torch.rand(3, 1, 16, 16)).shape == (3, 1)
