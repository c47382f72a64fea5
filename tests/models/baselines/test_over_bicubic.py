import pytest
import torch

from napari_structsr.errors import ModelError
from napari_structsr.models.build import build_network, can_be_told, fix_optics
from napari_structsr.models.generator import interpolate

OPTIONS = {
    "srresnet": {"width": 8, "blocks": 1},
    "rrdb": {"width": 8, "growth": 4, "blocks": 1},
    "swinir": {"width": 12, "depth": 2, "stages": 1, "heads": 2},
}


@pytest.mark.parametrize("architecture", OPTIONS)
def test_the_network_is_added_to_bicubic(architecture):
    torch.manual_seed(0)
    options = OPTIONS[architecture]
    plain = build_network(architecture, factor=2, options=options).eval()
    around = build_network(
        architecture, factor=2, options=options | {"over_bicubic": 1}
    ).eval()
    around.network.load_state_dict(plain.state_dict())
    image = torch.rand(1, 1, 21, 19)
    with torch.no_grad():
        torch.testing.assert_close(
            around(image),
            interpolate(image, 2, mode="bicubic") + around.gain * plain(image),
        )
    assert around.receptive_radius == plain.receptive_radius
    assert around.align == getattr(plain, "align", 1)
    assert (
        build_network(architecture, factor=2, options=options | {"over_bicubic": 0})
        .state_dict()
        .keys()
        == plain.state_dict().keys()
    )


@pytest.mark.parametrize("architecture", OPTIONS)
def test_a_network_of_detail_does_not_see_the_level(architecture):
    torch.manual_seed(0)
    options = OPTIONS[architecture] | {"over_bicubic": 2}
    network = build_network(architecture, factor=2, options=options).eval()
    image = torch.rand(1, 1, 24, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            network(image + 3), network(image) + 3, atol=1e-4, rtol=0
        )
        other = image.clone()
        middle = 12
        other[..., middle, middle] += 1
        rows = torch.nonzero((network(other) - network(image))[0, 0])[:, 0] // 2
    assert (rows - middle).abs().max() <= network.receptive_radius


@pytest.mark.parametrize("architecture", OPTIONS)
def test_a_network_that_is_told_the_optics_depends_on_them(architecture):
    torch.manual_seed(0)
    options = OPTIONS[architecture] | {"over_bicubic": 1, "told": 1}
    network = build_network(architecture, factor=2, options=options).eval()
    image = torch.rand(2, 1, 24, 21)
    widths, noise = torch.tensor([0.4, 1.6]), torch.tensor([0.01, 0.01])
    assert can_be_told(network)
    with torch.no_grad():
        both = network(image, widths, noise)
        assert not torch.allclose(network(image[:1]), network(image[:1], *two(1.6)))
        for number, width in enumerate(widths.tolist()):
            fixed = fix_optics(network, sigma=width, noise=0.01)
            assert not can_be_told(fixed)
            one = image[number : number + 1]
            torch.testing.assert_close(
                fixed(one), both[number : number + 1], atol=1e-5, rtol=0
            )


def test_what_is_told_goes_beside_bicubic():
    with pytest.raises(ModelError, match="over_bicubic"):
        build_network("srresnet", factor=2, options=OPTIONS["srresnet"] | {"told": 1})


def two(width):
    return torch.tensor([width]), torch.tensor([0.01])
