import pytest
import torch

from napari_structsr.models.build import build_network
from napari_structsr.models.receptive_field import measure_receptive_field

OPTIONS = {
    "residual-generator": {"width": 4, "blocks": 2},
    "srresnet": {"width": 4, "blocks": 2},
    "rrdb": {"width": 4, "growth": 2, "blocks": 1},
}


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("architecture", OPTIONS)
def test_an_affordable_radius_is_the_exact_one(architecture, factor):
    network = build_network(
        architecture, factor=factor, options=OPTIONS[architecture]
    ).eval()
    found = measure_receptive_field(network, factor=factor)
    assert (found.radius, found.seam) == (network.receptive_radius, 0)


def test_windows_are_seen_to_their_edge():
    options = {"width": 4, "depth": 2, "stages": 1, "heads": 1, "window": 4}
    network = build_network("swinir", factor=2, options=options).eval()
    found = measure_receptive_field(network, factor=2, align=4)
    assert found.seam == 0
    assert network.receptive_radius <= found.radius < network.receptive_radius + 4


def test_a_deep_network_gets_an_effective_radius_and_its_seam():
    """No tile differs from the whole image by more than the card says."""
    torch.manual_seed(0)
    network = build_network("rrdb", factor=2, options={"width": 4, "blocks": 12}).eval()
    for value in network.parameters():  # as if trained: influence from afar
        value.data.mul_(1.5)
    found = measure_receptive_field(network, factor=2)
    assert 0 < found.radius < 64 < network.receptive_radius
    assert found.seam > 0
    image = torch.rand(1, 1, 150, 150) * 1.5
    with torch.inference_mode():
        whole = network(image)
        part = network(image[..., 60 - found.radius :, 60 - found.radius :])
    kept = part[..., 2 * found.radius :, 2 * found.radius :]
    error = (kept - whole[..., 120:, 120:]).abs().max()
    assert error <= found.seam * 1.5


def test_a_network_that_sees_everything_is_found_out():
    class Mean(torch.nn.Module):
        def forward(self, image):
            fine = image.repeat_interleave(2, -1).repeat_interleave(2, -2)
            return fine + 0.1 * image.mean()

    found = measure_receptive_field(Mean(), factor=2)
    assert found.seam > 0.03
