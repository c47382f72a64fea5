"""What holds of a generator that is told the optics, whatever its weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_structsr.models.conditional_generator import (
    NOISE_RANGE,
    SIGMA_RANGE,
    ConditionalGenerator,
    noise_level,
)
from napari_structsr.models.generator import ResidualGenerator

FACTORS = (1, 2, 4)
kinds = pytest.mark.parametrize(
    ("factor", "filters"), [(1, 0), (2, 0), (4, 0), (1, 3), (2, 3)]
)


def generator(factor, filters=0):
    """Return a generator whose every weight counts."""
    torch.manual_seed(factor)
    network = ConditionalGenerator(factor, width=8, blocks=2, filters=filters).eval()
    network.requires_grad_(False)
    weights = [network.tail.weight, network.optics[-1].weight]
    if filters:
        weights.append(network.mix)
    for weight in weights:
        weight.normal_(0, 0.1)
    return network


def image(height=24, width=31, count=1):
    seed = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, height, width, generator=seed)


def told(sigma=1.1, noise=0.02):
    return torch.tensor([sigma]), torch.tensor([noise])


@kinds
@given(gain=st.floats(0.01, 500), offset=st.floats(-100, 100))
def test_gain_and_offset_pass_through(factor, filters, gain, offset):
    network = generator(factor, filters)
    result = network(gain * image() + offset, *told())
    error = (result - (gain * network(image(), *told()) + offset)).abs().max()
    assert error < 2e-5 * max(gain, abs(offset))


@kinds
def test_gains_in_the_weights_do_what_gains_on_channels_do(factor, filters):
    network = generator(factor, filters)
    plain = ResidualGenerator(factor, width=8, blocks=2, filters=filters)
    plain.load_state_dict(network.fold(sigma=1.1, noise=0.02))
    assert torch.allclose(plain(image()), network(image(), *told()), atol=1e-6)


@kinds
def test_a_tile_equals_the_whole(factor, filters):
    network = generator(factor, filters)
    radius = network.receptive_radius
    tall = image(height=60)
    whole = network(tall, *told())
    tile = network(tall[..., 25 - radius : 35 + radius, :], *told())
    inner = tile[..., radius * factor : (radius + 10) * factor, :]
    kept = whole[..., 25 * factor : 35 * factor, :]
    assert torch.allclose(inner, kept, atol=1e-6)


@pytest.mark.parametrize("filters", [0, 3])
def test_each_image_of_a_batch_is_told_its_own_optics(filters):
    network = generator(2, filters)
    sigma, noise = torch.tensor([0.3, 1.0, 1.9]), torch.tensor([0.006, 0.03, 0.15])
    together = network(image(count=3), sigma, noise)
    for n in range(3):
        alone = network(image(count=3)[n : n + 1], sigma[n : n + 1], noise[n : n + 1])
        assert torch.allclose(together[n : n + 1], alone, atol=1e-6)
    assert not torch.allclose(
        network(image(), *told(0.3)), network(image(), *told(1.9))
    )


def test_what_was_never_trained_counts_as_the_nearest_that_was():
    network = generator(2)
    for end, beyond in zip(SIGMA_RANGE, (0.0, 9.0), strict=True):
        at_end = network(image(), *told(sigma=end))
        assert torch.equal(network(image(), *told(sigma=beyond)), at_end)
    for end, beyond in zip(NOISE_RANGE, (0.0, 3.0), strict=True):
        at_end = network(image(), *told(noise=end))
        assert torch.equal(network(image(), *told(noise=beyond)), at_end)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_fresh_generator_is_the_interpolation(factor):
    network = ConditionalGenerator(factor, width=8, blocks=2)
    start = torch.nn.functional.interpolate(
        image(), scale_factor=factor, mode="bicubic", align_corners=False
    )
    assert torch.allclose(network(image(), *told()), start, atol=1e-6)
    if factor == 1:
        assert torch.equal(network(image(), *told()), image())


def test_noise_is_that_of_half_the_light():
    photons, read_noise = 400.0, 0.01
    counts = torch.poisson(torch.full((300_000,), photons / 2)) / photons
    spread = (counts + read_noise * torch.randn(300_000)).std()
    assert noise_level(1 / photons, read_noise**2) == pytest.approx(
        float(spread), rel=0.01
    )
