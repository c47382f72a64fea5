"""Training a generator that is told the optics."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from skimage import data
from skimage.transform import rescale

from napari_structsr import TrainingSettings, load_model, result_of, train
from napari_structsr.models.conditional_generator import noise_level
from napari_structsr.models.discriminator import PatchDiscriminator
from napari_structsr.training.patch_sampler import (
    FULL_SCALE,
    ImageSampler,
    Plane,
    load_planes,
)
from napari_structsr.training.recipe import OpticsConfig, Recipe, read_recipe
from napari_structsr.training.varied_optics import draw_optics, draw_varied_batch
from napari_structsr.training.varied_truths import add_smaller_copies, vary_brightness

TINY = {
    "name": "tiny",
    "network": {
        "architecture": "conditional-generator",
        "options": {"width": 8, "blocks": 1},
    },
    "optics": {},
    "patch": 16,
    "batch": 4,
    "megapixels": 20 * 4 * 16**2 / 1e6,
    "rate": 2e-3,
}


def seeded():
    return torch.Generator().manual_seed(0)


def test_widths_and_noise_cover_what_the_card_will_promise():
    config = OpticsConfig()
    drawn = draw_optics(20_000, config, seeded())
    assert config.psf_sigma[0] <= drawn.sigma.min() < 0.27
    assert 1.95 < drawn.sigma.max() <= config.psf_sigma[1]
    usual = (drawn.sigma > config.usual[0]) & (drawn.sigma < config.usual[1])
    assert usual.float().mean() > 0.5
    assert drawn.airy.float().mean() == pytest.approx(0.2, abs=0.02)
    assert (drawn.ellipticity > 1).float().mean() == pytest.approx(0.2, abs=0.02)
    assert not (drawn.airy & (drawn.ellipticity > 1)).any()


def test_what_is_told_is_nearly_what_was_done(images):
    sampler = ImageSampler(load_planes(images, smallest=64), "cpu")
    flat = OpticsConfig(photons=(50, 50), read_noise=(0.02, 0.02), gain=(1, 1))
    drawn = draw_optics(500, flat, seeded())
    assert (drawn.told_sigma / drawn.sigma).log().std() == pytest.approx(0.03, rel=0.2)
    level = noise_level(1 / 50, 0.02**2)
    assert (drawn.told_noise / level).log().std() == pytest.approx(0.05, rel=0.2)
    batch = draw_varied_batch(
        sampler, flat, factor=2, patch=16, count=3, generator=seeded()
    )
    assert batch.measured.shape == (3, 1, 16, 16)
    assert batch.truth.shape == (3, 1, 32, 32)
    assert [len(told) for told in batch.optics] == [3, 3]


def test_copies_are_smaller_and_oversampled_sources_are_nothing_else(images):
    planes = load_planes(images, smallest=64)
    config = OpticsConfig(oversampled=("tissue",), shrunk=(1.25,))
    found = add_smaller_copies(planes, config, smallest=64)
    shapes = {
        source: Counter(plane.pixels.shape for plane in found if plane.source == source)
        for source in ("tissue", "cell")
    }
    assert shapes["tissue"] == {(75, 70): 9, (120, 112): 9}
    assert shapes["cell"] == {(300, 280): 2, (150, 140): 2, (240, 224): 2}


def test_a_smaller_copy_shows_the_same_image_as_sharp_as_its_pixels_allow():
    pixels = (data.camera().astype(float) / 255 * FULL_SCALE).astype(np.int16)
    config = OpticsConfig(shrunk=(1.6,))
    *_, copy = add_smaller_copies([Plane("photo", pixels)], config, smallest=64)
    wanted = rescale(pixels / FULL_SCALE, 1 / 1.6, order=3, anti_aliasing=False)
    found = copy.pixels / FULL_SCALE
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98
    assert np.std(np.diff(found)) > 0.6 * np.std(np.diff(wanted))
    assert (found.min(), found.max()) == (0, 1)


def test_brightness_is_bent_and_negatives_are_drawn():
    truth = torch.linspace(0, 1, 11).reshape(1, 1, 1, 11).expand(400, -1, -1, -1)
    assert vary_brightness(truth, OpticsConfig(), seeded()) is truth
    config = OpticsConfig(bend=0.3, negatives=0.25)
    varied = vary_brightness(truth, config, seeded())[:, 0, 0]
    falls = varied[:, 0] == 1
    assert falls.float().mean() == pytest.approx(0.25, abs=0.05)
    assert (varied[falls].diff(dim=1) <= 0).all()
    assert (varied[~falls].diff(dim=1) >= 0).all()
    ends = torch.where(falls[:, None], 1 - varied, varied)[:, [0, -1]]
    assert (ends == torch.tensor([0.0, 1.0])).all()
    powers = varied[~falls, 5].log() / math.log(0.5)
    assert powers.log().std() == pytest.approx(0.3, rel=0.2)


def test_a_batch_is_measured_from_truths_that_were_varied(images):
    """What a network shall give back is what was measured, negatives as well."""
    sampler = ImageSampler(load_planes(images, smallest=64), "cpu")
    bright = {"photons": (1e6, 1e6), "read_noise": (1e-4, 1e-4), "gain": (1, 1)}
    config = OpticsConfig(bend=0.3, negatives=0.5, psf_sigma=(0.3, 0.4), **bright)
    batch = draw_varied_batch(
        sampler, config, factor=1, patch=24, count=8, generator=seeded()
    )
    for measured, truth in zip(batch.measured, batch.truth, strict=True):
        pair = torch.stack([measured.ravel(), truth.ravel()])
        assert torch.corrcoef(pair)[0, 1] > 0.8


@pytest.mark.parametrize("factor", [1, 2])
def test_a_training_makes_a_model_that_can_be_told(images, tmp_path, factor):
    recipe = Recipe.model_validate(TINY | {"factor": factor})
    settings = TrainingSettings(device="cpu", precision="float32")
    path = result_of(train(recipe, images, tmp_path / "run", settings=settings))
    model = load_model(str(path), factor=factor)
    assert model.conditional
    assert model.card.psf_range == (0.25, 2.0)
    assert model.card.intensity_equivariant
    told = model.with_optics(psf_sigma=1.3, noise=0.02)
    assert told.forward_model.psf_sigma == 1.3
    assert told(torch.rand(1, 1, 20, 20)).shape == (1, 1, 20 * factor, 20 * factor)


def test_a_discriminator_is_told_as_well(images, tmp_path):
    adversary = {"width": 4, "start": 0.5, "rise": 0.5}
    recipe = Recipe.model_validate(TINY | {"adversary": adversary})
    settings = TrainingSettings(device="cpu", precision="float32")
    result_of(train(recipe, images, tmp_path / "run", settings=settings))
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(2, width=4, told=True).eval()
    images_ = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 16, 16)
    ratings = [
        discriminator(*images_, torch.full((2,), width), torch.full((2,), 0.02))
        for width in (0.3, 1.8)
    ]
    assert not torch.allclose(*ratings)


def test_it_starts_from_a_generator_that_was_told_nothing(images, tmp_path):
    recipe = read_recipe("conditional-x2", megapixels=1e-4, batch=2, patch=16)
    settings = TrainingSettings(device="cpu", precision="float32")
    path = result_of(train(recipe, images, tmp_path / "run", settings=settings))
    image = torch.rand(1, 1, 24, 24, generator=seeded())
    model = load_model(str(path)).with_optics(psf_sigma=0.4, noise=0.01)
    assert (model(image) - load_model("faithful")(image)).abs().max() < 0.02


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("rrdb", {"width": 8, "growth": 4, "blocks": 1}),
        ("swinir", {"width": 12, "depth": 2, "stages": 1, "heads": 2}),
    ],
)
def test_networks_of_others_begin_where_they_were_when_told(
    architecture, options, images, tmp_path
):
    options = options | {"over_bicubic": 1}
    blind = TINY | {"network": {"architecture": architecture, "options": options}}
    settings = TrainingSettings(device="cpu", precision="float32")
    first = result_of(
        train(
            Recipe.model_validate(blind),
            images,
            tmp_path / "blind",
            settings=settings,
        )
    )
    known = load_model(str(first))
    assert not known.conditional
    assert known.card.psf_range is None
    told = TINY | {
        "network": {"architecture": architecture, "options": options | {"told": 1}},
        "start": str(first),
        "rate": 1e-12,
    }
    second = result_of(
        train(Recipe.model_validate(told), images, tmp_path / "told", settings=settings)
    )
    model = load_model(str(second))
    assert model.conditional
    image = torch.rand(1, 1, 24, 21, generator=seeded())
    for width in (0.4, 1.6):
        result = model.with_optics(psf_sigma=width, noise=0.02)(image)
        torch.testing.assert_close(result, known(image), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optics": None}, "add the table optics"),
        ({"loss": {"pixel": 1.0, "data": 0.1}}, "one forward model"),
        ({"network": {}, "optics": None, "factor": 1}, "factor 1"),
    ],
)
def test_recipes_that_do_not_fit_together_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        Recipe.model_validate(TINY | changes)


def test_every_conditional_recipe_can_be_read():
    for name in ("conditional-x1", "conditional-x2", "conditional-x4"):
        assert read_recipe(name).optics is not None
