import numpy as np
import pytest
import torch
from torch import nn

import napari_structsr as sr
from napari_structsr.finetuning.config import FineTuneConfig
from napari_structsr.finetuning.drift import Drift, limit_drift
from napari_structsr.finetuning.recipe import make_tuning_recipe, read_data_config
from napari_structsr.finetuning.replay import replay_images
from napari_structsr.imaging.filters import smooth


@pytest.fixture(scope="module")
def parent():
    return sr.load_model("faithful", factor=2)


@pytest.fixture(scope="module")
def drift(parent):
    recipe = make_tuning_recipe(
        FineTuneConfig(name="mine"), parent.card, patch=48, psf_sigma=0.9
    )
    recipe = recipe.model_copy(update={"data": read_data_config(parent.card)})
    return Drift(parent.network, recipe, device="cpu")


def test_images_for_training_are_not_those_for_validation():
    training, validation = (
        {plane.pixels.tobytes() for plane in replay_images(part)}
        for part in ("training", "validation")
    )
    assert len(training) == len(replay_images("training"))
    assert not training & validation
    for part in ("training", "validation"):
        spans = [np.ptp(plane.pixels) for plane in replay_images(part)]
        assert min(spans) > 8000


def test_the_parent_has_lost_nothing(parent, drift):
    assert set(drift.losses(parent.network).values()) == {0.0}


def test_what_one_kind_loses_is_not_made_up_for_by_others(parent, drift):
    """Blur spoils what has detail, and is good for what has none."""

    def blurred(image):
        return smooth(parent.network(image), 0.5)

    losses = drift.losses(blurred)
    assert losses["drawn"] > 0.1 > losses["smooth"]
    mean, worst = np.mean(list(losses.values())), max(losses.values())
    assert drift(blurred) == pytest.approx(max(mean, worst / 2))
    assert drift(blurred) > 0.05


def test_the_way_ends_where_the_limit_is_reached(parent):
    """The drift of this network is how far its weights are from those of the parent."""
    start = {"weight": torch.zeros(1, 1)}
    network = nn.Linear(1, 1, bias=False)

    def far(network):
        return network.weight.item()

    end = {"weight": torch.ones(1, 1)}
    for limit, share in [(None, 1.0), (2.0, 1.0), (0.4, 0.375), (0.01, 0.0625)]:
        found = limit_drift(network, start, end, drift=far, limit=limit)
        assert found.share == pytest.approx(share)
        assert found.drift == pytest.approx(share)
        assert found.trained == 1.0
        assert torch.equal(network.weight, found.weights["weight"])
