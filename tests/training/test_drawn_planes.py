"""Images that are drawn to train on."""

import numpy as np
import pytest

from napari_structsr import TrainingSettings, train
from napari_structsr.training.drawn_planes import SOURCE, draw_planes
from napari_structsr.training.patch_sampler import FULL_SCALE
from napari_structsr.training.recipe import Recipe


def test_a_seed_draws_the_same_images_and_another_others():
    first, again, other = (draw_planes(4, side=96, seed=n) for n in (0, 0, 1))
    for one, two, three in zip(first, again, other, strict=True):
        assert one.source == SOURCE
        assert np.array_equal(one.pixels, two.pixels)
        assert not np.array_equal(one.pixels, three.pixels)
        assert one.pixels.min() == 0
        assert one.pixels.max() == FULL_SCALE


def test_some_are_smooth_and_some_are_black_but_for_a_few_points():
    field, lattice, spots, lines = draw_planes(4, side=256)
    for smooth in (field, lattice):
        pixels = smooth.pixels / FULL_SCALE
        step = np.abs(np.diff(pixels, axis=0)).mean()
        assert step < 0.1 * pixels.std()
    for sparse in (spots, lines):
        assert np.median(sparse.pixels) < 0.01 * FULL_SCALE


@pytest.mark.parametrize("drawn", [0, 5])
def test_a_recipe_trains_on_them_as_one_more_source(images, tmp_path, drawn):
    recipe = Recipe.model_validate(
        {
            "name": "tiny",
            "network": {"options": {"width": 4, "blocks": 1}},
            "drawn": drawn,
            "patch": 16,
            "megapixels": 1e-3,
        }
    )
    settings = TrainingSettings(device="cpu", precision="float32")
    started, *_, finished = train(recipe, images, tmp_path / "run", settings=settings)
    without = next(
        iter(
            train(
                recipe.model_copy(update={"drawn": 0}),
                images,
                tmp_path / "other",
                settings=settings,
            )
        )
    )
    count = int(started.plan.work.split()[0]) - int(without.plan.work.split()[0])
    assert count == drawn
    assert (SOURCE in (tmp_path / "run" / "tiny-x2.json").read_text()) == bool(drawn)
    assert finished.output
