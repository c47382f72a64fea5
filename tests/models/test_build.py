import sys

import pytest
import torch

from napari_structsr.errors import ModelError
from napari_structsr.imaging.filters import reflect_pad
from napari_structsr.models.build import (
    build_network,
    count_operations,
    count_parameters,
)

SMALL = {
    "residual-generator": {"width": 4, "blocks": 1},
    "srresnet": {"width": 4, "blocks": 1},
    "rrdb": {"width": 4, "growth": 2, "blocks": 1},
    "swinir": {"width": 4, "depth": 2, "stages": 1, "heads": 2, "window": 4},
}


def small(architecture, factor):
    torch.manual_seed(0)
    network = build_network(architecture, factor=factor, options=SMALL[architecture])
    for value in network.parameters():
        if not value.any():  # the residual starts from zero
            torch.nn.init.normal_(value)
    return network.eval()


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("architecture", SMALL)
def test_the_receptive_radius_is_exact(architecture, factor):
    network = small(architecture, factor)
    radius, align = network.receptive_radius, getattr(network, "align", 1)
    centre = -(-radius // align) * align
    side = centre + align * (-(-(radius + align) // align))
    image = torch.rand((1, 1, side, side), requires_grad=True)
    result = network(image)
    assert result.shape == (1, 1, factor * side, factor * side)
    farthest = 0
    for pixel in range(centre, centre + align):
        for fine in range(factor):
            at = pixel * factor + fine
            (slope,) = torch.autograd.grad(
                result[0, 0, at, at], image, retain_graph=True
            )
            hits = torch.nonzero(slope[0, 0])
            farthest = max(farthest, int((hits - pixel).abs().max()))
    assert farthest == radius


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (17, 22)])
@pytest.mark.parametrize("architecture", SMALL)
def test_any_size_is_taken(architecture, size):
    height, width = size
    result = small(architecture, 2)(torch.rand(2, 1, height, width))
    assert result.shape == (2, 1, 2 * height, 2 * width)


def test_operations_of_the_residual_generator_are_those_of_its_layers():
    network = build_network("residual-generator", factor=2, options={})
    layers = 9 * 32 + 17 * 9 * 32**2 + 9 * 32 * 4
    assert count_operations(network) == layers == count_parameters(network)


def test_counting_leaves_the_network_in_training():
    network = small("srresnet", 2).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count_operations(network)
    assert network.training
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_weights_of_swinir_hold_no_masks():
    names = small("swinir", 2).state_dict()
    assert not [name for name in names if "mask" in name or "index" in name]


@pytest.mark.parametrize("architecture", SMALL)
def test_unknown_options_are_named(architecture):
    with pytest.raises(ModelError, match="colour"):
        build_network(architecture, factor=2, options={"colour": 3})


def test_unknown_architecture_names_those_there_are():
    with pytest.raises(ModelError, match="residual-generator"):
        build_network("unet", factor=2, options={})


def test_missing_spandrel_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel.architectures.SwinIR", None)
    with pytest.raises(ModelError, match=r"napari-structsr\[zoo\]"):
        build_network("swinir", factor=2, options={})


def test_mirroring_goes_on_where_the_image_is_short():
    line = reflect_pad(torch.tensor([[[[0.0, 1, 2]]]]), (0, 1), (0, 7))
    assert line.tolist() == [[[[0, 1, 2, 1, 0, 1, 2, 1, 0, 1]] * 2]]
