"""A folder of images to train on, and a recipe that takes seconds."""

import numpy as np
import pytest
import skimage.io
from skimage.color import rgb2gray
from skimage.data import cell, immunohistochemistry

from napari_structsr.training.recipe import Recipe

TINY = {
    "name": "tiny",
    "network": {"options": {"width": 8, "blocks": 1}},
    "patch": 16,
    "batch": 4,
    "megapixels": 30 * 4 * 16**2 / 1e6,
    "rate": 2e-3,
}


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Return a folder with two sources: 9 parts of a tissue, 2 of a cell."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "tissue").mkdir()
    tissue = (rgb2gray(immunohistochemistry()) * 255).astype(np.uint8)
    (folder / "cell").mkdir()
    for number in range(9):
        top, left = divmod(number, 3)
        part = tissue[160 * top : 160 * top + 150, 160 * left :][:, :140]
        path = folder / "tissue" / f"{number}.png"
        skimage.io.imsave(path, part, check_contrast=False)
    wide = cell()[100:400, 100:380].astype(np.uint16) * 200
    skimage.io.imsave(folder / "cell" / "stack.tif", np.stack([wide, wide[::-1]]))
    return folder


@pytest.fixture
def recipe():
    """Return a recipe of 30 steps."""
    return Recipe.model_validate(TINY)


@pytest.fixture
def adversarial_recipe():
    """Return a recipe whose second half is adversarial, on the whole of the loss."""
    loss = {"pixel": 1.0, "ssim": 0.01, "gradient": 0.3, "data": 2e-4}
    adversary = {"width": 4, "start": 0.5, "rise": 0.5}
    return Recipe.model_validate(TINY | {"loss": loss, "adversary": adversary})


@pytest.fixture
def srgan_recipe():
    """Return a recipe with batch normalisation, content and a plain discriminator."""
    return Recipe.model_validate(
        TINY
        | {
            "network": {
                "architecture": "srresnet",
                "options": {"width": 4, "blocks": 1},
            },
            "loss": {"mse": 1.0, "pixel": 0.0},
            "adversary": {
                "kind": "plain",
                "relativistic": False,
                "width": 4,
                "start": 0.5,
                "loss": {"mse": 1.0, "pixel": 0.0, "content": 0.1},
            },
        }
    )
