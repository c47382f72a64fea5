"""Tiles equal the whole image whatever the architecture: its tile rule is kept."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from napari_structsr import (
    MemorySink,
    UpscaleSettings,
    iter_upscale,
    open_source,
    result_of,
)
from napari_structsr.engine.device import Device
from napari_structsr.engine.events import Warned
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard
from napari_structsr.models.model import SRModel

OPTIONS = {
    "srresnet": {"width": 6, "blocks": 1},
    "rrdb": {"width": 6, "growth": 4, "blocks": 1},
    "swinir": {"width": 8, "depth": 2, "stages": 1, "heads": 2, "window": 4},
}


def trained(architecture, factor, seed, **card):
    """Return a model with weights that all matter."""
    torch.manual_seed(seed)
    options = OPTIONS[architecture] | card.pop("options", {})
    network = build_network(architecture, factor=factor, options=options)
    for name, value in network.named_parameters():
        if "bias" in name or "norm" in name:
            torch.nn.init.normal_(value, std=0.1)
    for name, value in network.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(std=0.1)
    card = ModelCard(
        name=architecture,
        description="",
        architecture=architecture,
        options=options,
        factor=factor,
        psf_sigma=0.4,
        **card,
    )
    return SRModel(card, network.state_dict())


def run(pixels, model, **values):
    return result_of(
        iter_upscale(
            open_source(pixels, axes="zyx"),
            model,
            MemorySink(),
            settings=UpscaleSettings(
                device="cpu", precision="float32", dtype="float32", **values
            ),
        )
    )


@hypothesis_settings(max_examples=12, deadline=None)
@given(
    architecture=st.sampled_from(sorted(OPTIONS)),
    factor=st.sampled_from([2, 4]),
    agreement=st.sampled_from(["off", "noise"]),
    shape=st.tuples(st.integers(1, 2), st.integers(2, 75), st.integers(2, 75)),
    block=st.integers(16, 40),
    seed=st.integers(0, 99),
)
def test_tiles_equal_the_whole_stack(
    architecture, factor, agreement, shape, block, seed
):
    pixels = np.random.default_rng(seed).integers(100, 60000, shape, np.uint16)
    model = trained(architecture, factor, seed)
    whole = run(pixels, model, agreement=agreement)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Device, "block", block)
        tiled = run(pixels, model, agreement=agreement)
    assert whole.shape == (shape[0], factor * shape[1], factor * shape[2])
    span = max(float(np.ptp(whole)), 1)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * span)


def test_tiles_off_the_windows_would_differ(monkeypatch):
    """What the alignment is for."""
    pixels = np.random.default_rng(0).integers(0, 60000, (1, 70, 70), np.uint16)
    model = trained("swinir", 2, 0)
    whole = run(pixels, model)
    monkeypatch.setattr(SRModel, "align", 1)
    monkeypatch.setattr(Device, "block", 20)
    assert np.abs(run(pixels, model) - whole).max() > 1e-4 * np.ptp(whole)


@pytest.mark.parametrize("architecture", sorted(OPTIONS))
def test_a_shorter_radius_on_the_card_is_used_and_its_seam_is_told(
    architecture, monkeypatch
):
    monkeypatch.setattr(Device, "block", 30)
    pixels = np.random.default_rng(0).integers(0, 60000, (1, 90, 90), np.uint16)
    model = trained(architecture, 2, 0, radius=4, seam=0.03)
    assert model.radius == 4
    events = list(
        iter_upscale(
            open_source(pixels, axes="zyx"),
            model,
            MemorySink(),
            settings=UpscaleSettings(device="cpu"),
        )
    )
    told = [event.message for event in events if isinstance(event, Warned)]
    assert any("3.0% of the range" in message for message in told)
