"""Layers that are computed together give what they give one by one."""

import pytest
import torch

from napari_structsr.engine.device import Device
from napari_structsr.models import fused_generator
from napari_structsr.models.fused_generator import fuse
from napari_structsr.models.generator import ResidualGenerator
from napari_structsr.zoo.catalogue import load_model


def make_network(factor=2, width=8, blocks=2, filters=0):
    torch.manual_seed(1)
    network = ResidualGenerator(factor, width=width, blocks=blocks, filters=filters)
    # a tail of zeros would hide all layers before it
    torch.nn.init.normal_(network.tail.weight, std=0.05)
    if filters:
        torch.nn.init.normal_(network.taps, std=0.05)
        torch.nn.init.normal_(network.mix, std=0.5)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def make_image(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 1, 40, 43), (3, 1, 17, 16), (1, 1, 1, 1)])
def test_float32_gives_the_same_numbers(factor, shape):
    network = make_network(factor, filters=3)
    fused = fuse(network, torch.float32)
    assert fused is not None
    image = make_image(*shape)
    with torch.inference_mode():
        torch.testing.assert_close(fused(image), network(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("width", [16, 43, 64, 65])
def test_half_precision_is_as_near_as_layer_by_layer(width):
    network = load_model("faithful", factor=2).network
    fused = fuse(network, torch.bfloat16)
    if fused is None:
        pytest.skip("this processor does not compute in bfloat16")
    image = make_image(1, 1, 50, width)
    with torch.inference_mode():
        truth = network(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            plain = network(image)
    found = (fused(image) - truth).abs()
    assert found.mean() <= 1.2 * (plain - truth).abs().mean()
    # columns that were added for the processor are not seen at the border
    assert found[..., -4:].mean() <= 2 * (plain - truth)[..., -4:].abs().mean()
    assert found.max() < 0.03


def test_devices_compute_with_it_in_half_precision():
    model = load_model("faithful", factor=2)
    image = make_image(1, 1, 30, 30)
    fused = fuse(model.network, torch.bfloat16)
    if fused is None:
        pytest.skip("this processor does not compute in bfloat16")
    found = Device("cpu", "cpu", "bfloat16").run(model, image)
    assert torch.equal(found, fused(image))
    precise = Device("cpu", "cpu", "float32").run(model, image)
    assert torch.equal(precise, model(image))


def test_without_its_operations_layers_are_computed_one_by_one(monkeypatch):
    def fail(*_):
        raise AttributeError("no such operation")

    monkeypatch.setattr(fused_generator, "_convolve", fail)
    model = load_model("faithful", factor=2)
    image = make_image(1, 1, 30, 30)
    found = Device("cpu", "cpu", "bfloat16").run(model, image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(found, model(image))


def test_other_networks_are_left_as_they_are():
    assert fuse(load_model("esrgan", factor=2).network, torch.float32) is None
    conditional = load_model("conditional", factor=2)
    assert fuse(conditional.network, torch.float32) is None
    told = conditional.with_optics(psf_sigma=1.0, noise=0.02)
    assert fuse(told.network, torch.float32) is not None


def test_moved_weights_are_taken_anew():
    model = load_model("faithful", factor=2)
    device, image = Device("cpu", "cpu", "bfloat16"), make_image(1, 1, 20, 20)
    before = device.run(model, image)
    # as a viewer does that blends two models: the same network, other weights
    for weights in model.network.parameters():
        weights.mul_(0.5)
    assert not torch.equal(device.run(model.to("cpu"), image), before)
