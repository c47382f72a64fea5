"""Weights of others, as .pth, .pt, .ckpt and .safetensors files without a card.

It owns reading the file, without ever running what lies in it, and asking spandrel
which network the weights belong to; everything but plain numbers is refused.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_structsr.core.llvm_clash import keep_triton_out
from napari_structsr.errors import ModelError
from napari_structsr.io.limits import WEIGHTS_BYTES, read_limited

if TYPE_CHECKING:
    from torch import nn

FOREIGN_ENDINGS = (".pth", ".pt", ".ckpt")

_FACTORS = range(2, 9)


@dataclass(frozen=True)
class ForeignModel:
    """A network that spandrel has recognised, and what must be known to run it.

    Parameters
    ----------
    module
        The network with its weights, on the CPU.
    architecture
        Name of the architecture.
    factor
        Upscaling factor along y and x.
    inputs, outputs
        Channels, 1 or 3.
    minimum, multiple, square
        What height and width must be: at least, a multiple of, and the same.
    low_precision
        Whether it can compute in half precision, of either kind.
    sha256
        Hash of the file.
    """

    module: nn.Module
    architecture: str
    factor: int
    inputs: int
    outputs: int
    minimum: int
    multiple: int
    square: bool
    low_precision: bool
    sha256: str


def read_foreign(path: Path) -> ForeignModel:
    """Read weights that came without a card: .pth, .pt, .ckpt or .safetensors.

    Raises
    ------
    ModelError
        If spandrel is missing, if the file is damaged or holds anything but weights,
        or if the network is unknown or does not upscale images.
    """
    try:
        data = read_limited(path, WEIGHTS_BYTES)
    except OSError as error:
        raise ModelError(
            f"the model {path} cannot be read ({error.strerror}); check its path"
        ) from error
    descriptor = _recognise(path, _read_weights(path, data))
    _check_purpose(path, descriptor)
    size = descriptor.size_requirements
    return ForeignModel(
        module=descriptor.model,
        architecture=descriptor.architecture.name,
        factor=descriptor.scale,
        inputs=descriptor.input_channels,
        outputs=descriptor.output_channels,
        minimum=max(size.minimum, 1),
        multiple=size.multiple_of,
        square=size.square,
        # devices differ in which of the two they compute in
        low_precision=descriptor.supports_half and descriptor.supports_bfloat16,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _read_weights(path: Path, data: bytes) -> dict[str, Any]:
    import safetensors.torch
    import torch

    try:
        if path.suffix.lower() == ".safetensors":
            found: Any = safetensors.torch.load(data)
        else:
            # such files are pickles: without weights_only they can run programs
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # damage shows itself in many ways
        raise ModelError(
            f"{path} is damaged or holds more than weights ({_describe(error)}); files "
            "with other Python objects can run programs and are not opened: get the "
            "file again, or as .safetensors"
        ) from error
    if not isinstance(found, dict) or not found:
        raise ModelError(
            f"{path} holds no weights by name but a {type(found).__name__}; give the "
            "file of a trained model"
        )
    return found


def _recognise(path: Path, weights: dict[str, Any]) -> Any:
    """Let spandrel find the architecture, and return its description."""
    keep_triton_out()
    with warnings.catch_warnings():
        # those of what spandrel imports and builds
        warnings.simplefilter("ignore")
        try:
            import spandrel
        except ImportError as error:
            raise ModelError(
                f"{path} needs spandrel and torchvision to be recognised ({error}); "
                "run: pip install 'napari-structsr[zoo]'"
            ) from error
        try:
            return spandrel.ModelLoader().load_from_state_dict(weights)
        except spandrel.UnsupportedModelError as error:
            card = path.with_suffix(".json")
            ours = (
                f"a model trained here has its card beside it, and {card.name} is "
                f"missing in {card.parent.absolute()}: copy it there; for others "
                if path.suffix.lower() == ".safetensors"
                else ""
            )
            raise ModelError(
                f"{path} belongs to no architecture that spandrel knows; {ours}see the "
                "list at github.com/chaiNNer-org/spandrel"
            ) from error
        except Exception as error:
            # parts are missing, or have another shape
            raise ModelError(
                f"the weights in {path} do not fit the architecture they seem to "
                f"belong to ({_describe(error)}); get the file again"
            ) from error


def _check_purpose(path: Path, descriptor: Any) -> None:
    import spandrel

    name = descriptor.architecture.name
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        raise ModelError(
            f"{path} ({name}) fills masked regions; give a model that upscales"
        )
    # spandrel knows denoisers as well, which have the factor 1
    if descriptor.scale not in _FACTORS:
        raise ModelError(
            f"{path} ({name}) has the factor {descriptor.scale}; give a model that "
            f"upscales by {_FACTORS[0]} to {_FACTORS[-1]}"
        )
    for channels in (descriptor.input_channels, descriptor.output_channels):
        if channels not in (1, 3):
            raise ModelError(
                f"{path} ({name}) has {channels} channels; give a model for grey or "
                "RGB images"
            )


def _describe(error: Exception) -> str:
    """Return the kind and the first line of an error, kept short."""
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0][:200]
