import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_structsr.models.generator import ResidualGenerator, interpolate
from napari_structsr.zoo.catalogue import list_models, load_model

SHIPPED = [(card.name, card.factor) for card in list_models()]


@pytest.fixture(
    params=SHIPPED, ids=lambda pair: f"{pair[0]}-x{pair[1]}", scope="module"
)
def model(request):
    name, factor = request.param
    return load_model(name, factor=factor)


def image(height=40, width=33, seed=0):
    return torch.rand(
        (1, 1, height, width), generator=torch.Generator().manual_seed(seed)
    )


@given(gain=st.floats(0.01, 500), offset=st.floats(-100, 100), seed=st.integers(0, 9))
def test_gain_and_offset_pass_through(model, gain, offset, seed):
    measured = image(seed=seed)
    result = model(gain * measured + offset)
    error = (result - (gain * model(measured) + offset)).abs().max()
    assert error < 2e-5 * max(gain, abs(offset))


def test_constant_image_stays_constant(model):
    result = model(torch.full((1, 1, 20, 24), 0.37))
    assert (result - 0.37).abs().max() < 1e-5


def test_shape_and_influence(model):
    size = 2 * model.radius + 9
    measured = image(size, size)
    result = model(measured)
    assert result.shape == (1, 1, model.factor * size, model.factor * size)
    other = measured.clone()
    other[..., size // 2, size // 2] += 1
    rows, columns = torch.nonzero((model(other) != result)[0, 0], as_tuple=True)
    for hit in (rows, columns):
        assert (hit // model.factor - size // 2).abs().max() <= model.radius


def test_centres_are_not_shifted(model):
    """A symmetric blob stays symmetric about the same world position."""
    y = torch.arange(41.0) - 20
    blob = torch.exp(-(y[:, None] ** 2 + y[None] ** 2) / 18)[None, None]
    result = model(blob)[0, 0].clamp_min(0).double()
    fine = (torch.arange(result.shape[0]).double() + 0.5) / model.factor - 0.5
    for axis in (0, 1):
        centre = (result.sum(dim=1 - axis) * fine).sum() / result.sum()
        assert abs(float(centre) - 20) < 0.05


def test_training_starts_from_interpolation():
    generator = ResidualGenerator(2, width=8, blocks=2)
    measured = image()
    torch.testing.assert_close(
        generator(measured), interpolate(measured, 2, mode="bicubic")
    )
