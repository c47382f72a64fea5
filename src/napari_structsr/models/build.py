"""Networks by the name of their architecture, and what they cost to run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from napari_structsr.errors import ModelError
from napari_structsr.io.foreign_weights import ForeignModel
from napari_structsr.io.limits import PARAMETERS
from napari_structsr.models.baselines.over_bicubic import OverBicubic
from napari_structsr.models.baselines.rrdb import RRDBNet
from napari_structsr.models.baselines.spandrel_network import ForeignNetwork
from napari_structsr.models.baselines.srresnet import SRResNet
from napari_structsr.models.baselines.swinir import SwinIRNet
from napari_structsr.models.conditional_generator import ConditionalGenerator
from napari_structsr.models.generator import ResidualGenerator, interpolate

_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "residual-generator": ResidualGenerator,
    "conditional-generator": ConditionalGenerator,
    "srresnet": SRResNet,
    "rrdb": RRDBNet,
    "swinir": SwinIRNet,
}
_AROUND = ("over_bicubic", "told")
_INTERPOLATIONS = ("bicubic", "bilinear")
_SIDE = 48  # pixels of the image on which costs are counted


def build_network(
    architecture: str, *, factor: int, options: Mapping[str, int]
) -> nn.Module:
    """Make a network with fresh weights.

    Parameters
    ----------
    architecture
        "residual-generator", "conditional-generator", "srresnet", "rrdb", "swinir",
        "bicubic" or "bilinear".
    factor
        Upscaling factor along y and x.
    options
        Arguments of the architecture, such as width and blocks. With
        ``over_bicubic=1`` the network adds to bicubic interpolation, with
        ``over_bicubic=2`` it also sees detail alone; with ``told=1`` as well it can be
        told the optics.

    Returns
    -------
    Module
        Maps (N, 1, h, w) to (N, 1, factor h, factor w), and has `factor` and
        `receptive_radius`.

    Raises
    ------
    ModelError
        If the architecture or an option is unknown.
    """
    if architecture in _INTERPOLATIONS:
        return _Interpolation(factor, architecture)
    if architecture not in _NETWORKS:
        raise ModelError(
            f"the architecture {architecture!r} is unknown; choose one of "
            f"{', '.join((*_NETWORKS, *_INTERPOLATIONS))}"
        )
    # what is around a network is no argument of it
    own = {name: value for name, value in options.items() if name not in _AROUND}
    around, told = (options.get(name, 0) for name in _AROUND)
    if told:
        # beside the image, a map of the width and one of the noise
        own["inputs"] = 3
    try:
        with _limit_parameters(architecture):
            network = _NETWORKS[architecture](factor, **own)
        if told and not around:
            raise TypeError("told goes with over_bicubic")
        if around:
            return OverBicubic(network, detail=around == 2, told=bool(told))
        return network
    except TypeError as error:
        raise ModelError(
            f"the options {dict(options)} do not belong to the architecture "
            f"{architecture} ({error}); restore the model card from where it came"
        ) from error


@contextmanager
def _limit_parameters(architecture: str) -> Iterator[None]:
    """Stop the making of a network once it is larger than any there is."""
    count, thread = 0, threading.get_ident()

    def add(_: nn.Module, __: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        # other threads make networks of their own
        if parameter is not None and threading.get_ident() == thread:
            count += parameter.numel()
            if count > PARAMETERS:
                raise ModelError(
                    f"the options ask for a {architecture} of more than {PARAMETERS} "
                    "weights; restore the model card or recipe from where it came"
                )

    hook = register_module_parameter_registration_hook(add)
    try:
        yield
    finally:
        hook.remove()


def can_be_told(network: Callable[..., Tensor]) -> bool:
    """Tell whether a network takes the optics beside the image."""
    return bool(getattr(network, "told", False))


def fix_optics(network: nn.Module, *, sigma: float, noise: float) -> nn.Module:
    """Make the network for one kind of image of one that can be told.

    Parameters
    ----------
    network
        See `can_be_told`.
    sigma, noise
        As in `ConditionalGenerator.fold`.
    """
    if isinstance(network, OverBicubic):
        return network.fix_optics(sigma=sigma, noise=noise)
    assert isinstance(network, ConditionalGenerator)
    fixed = ResidualGenerator(
        network.factor,
        width=network.width,
        blocks=network.blocks,
        filters=network.filters,
    )
    fixed.load_state_dict(network.fold(sigma=sigma, noise=noise))
    return fixed


def adapt_network(found: ForeignModel) -> ForeignNetwork:
    """Make a network of others ready for use on single planes.

    Returns
    -------
    ForeignNetwork
        Maps (N, 1, h, w) to (N, 1, factor h, factor w) in float32; `align` names the
        grid on which tiles must begin.
    """
    network = ForeignNetwork(
        found.module.requires_grad_(False).float(),
        factor=found.factor,
        inputs=found.inputs,
        minimum=found.minimum,
        multiple=found.multiple,
        square=found.square,
    )
    return network.eval().to(memory_format=torch.channels_last)


def count_operations(network: nn.Module, *, side: int = _SIDE) -> float:
    """Count the multiply-adds for each input pixel, on an image of `side` pixels."""
    from torch.utils.flop_counter import FlopCounterMode

    # counting must not change running means, nor leave the network in another mode
    training = [(part, part.training) for part in network.modules()]
    device = next((value.device for value in network.parameters()), None)
    image = torch.zeros((1, 1, side, side), device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(image)
    for part, was in training:
        part.training = was
    # a multiply-add counts as two
    return float(counter.get_total_flops()) / 2 / side**2


def count_activations(network: nn.Module) -> int:
    """Estimate the numbers held at once for each input pixel, on a small image.

    The largest layer with what it reads and writes, and as much again for features
    that are kept for skip connections and for copies.
    """
    largest = 0

    def note(_: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        nonlocal largest
        held = [part for part in (*given, made) if isinstance(part, Tensor)]
        largest = max(largest, sum(part.numel() for part in held))

    layers = [part for part in network.modules() if not list(part.children())]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    device = next((value.device for value in network.parameters()), None)
    try:
        with torch.inference_mode():
            network(torch.zeros((1, 1, _SIDE, _SIDE), device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return 2 * largest // _SIDE**2


def count_parameters(network: nn.Module) -> int:
    """Count the numbers that are learned."""
    return sum(value.numel() for value in network.parameters())


class _Interpolation(nn.Module):
    receptive_radius = 2

    def __init__(self, factor: int, mode: str) -> None:
        super().__init__()
        self.factor, self.mode = factor, mode

    def forward(self, image: Tensor) -> Tensor:
        return interpolate(image, self.factor, mode=self.mode)
