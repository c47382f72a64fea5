"""How far a fine-tuned model is off, from the regions it was not trained on."""

import numpy as np
import pytest
import torch

from napari_structsr.benchmark.demo import load_tissue_stack
from napari_structsr.finetuning.cards import calibrate_tuned
from napari_structsr.finetuning.split import Block, Split
from napari_structsr.imaging.expected_error import TrustInputs, half_width
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.pairs.image_pair import ImagePair, Place
from napari_structsr.zoo.catalogue import load_model


@pytest.fixture(scope="module")
def pair():
    """Measure tissue with a point-spread function wider than that of the training."""
    truth = load_tissue_stack()[0][0]
    image = torch.from_numpy(truth)[None, None]
    generator = torch.Generator().manual_seed(0)
    measured = ForwardModel(2, 0.9).measure(
        image, photons=1000, read_noise=0.01, generator=generator
    )
    place = Place(("low", "high"), (), (0, 256), (0, 256), (0.0, 0.0))
    noise = (1 / 1000, 0.01**2)
    return ImagePair("tissue", measured[0, 0].numpy(), truth, 2, place, noise=noise)


def split_at(column):
    """Keep what lies right of a column for validation."""
    return Split(
        training=(Block(0, (0, 256), (0, 40)),),
        validation=(Block(0, (0, 256), (column, 256)),),
        gap=8,
    )


def covered(calibration, model, pair):
    """Return the share of true values of a pair within the interval of 90%."""
    measured = torch.from_numpy(pair.measured)[None, None]
    result = model(measured)
    variance = measured.clamp_min(0) * pair.noise[0] + pair.noise[1]
    half = half_width(TrustInputs(result, variance), calibration)
    truth = torch.from_numpy(np.ascontiguousarray(pair.truth))
    return float(((result - truth).abs() <= half).float().mean())


def test_intervals_hold_on_the_users_images(pair):
    model = load_model("faithful")
    parent = model.card.calibration
    found, note = calibrate_tuned(model, [pair], split_at(60), parent=parent)
    assert "calibrated on" in note
    assert covered(parent, model, pair) < 0.85  # it knows nothing of this microscope
    assert covered(found, model, pair) == pytest.approx(0.9, abs=0.03)
    for name, (low, high) in parent.input_ranges.items():
        assert found.input_ranges[name][0] <= low
        assert found.input_ranges[name][1] >= high


def test_too_little_gives_none_and_says_so(pair):
    model = load_model("faithful")
    parent = model.card.calibration
    found, note = calibrate_tuned(model, [pair], split_at(220), parent=parent)
    assert found is None
    assert "separated patches" in note
    assert calibrate_tuned(model, [pair], split_at(60), parent=None)[0] is None
