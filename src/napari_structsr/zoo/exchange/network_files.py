"""A network as an ONNX or a TorchScript file, for planes of every size.

Both are traced: the network is run once, and what it did is written down. That the
trace holds for other sizes is looked at afterwards.
"""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_structsr.core.types import Float32Array
from napari_structsr.errors import ModelError
from napari_structsr.models.card import ModelCard
from napari_structsr.models.model import SRModel

CARD_ENTRY = "structsr"
"""Name under which an exported file holds the card of its model."""

OPSET = 17
"""Version of the ONNX operators: of 2022, which programs in use know."""

TOLERANCE = 1e-4
"""Largest difference of an export from the model, of values in 0..1."""

_INSTALL = "run: pip install 'napari-structsr[export]'"
# measured pixels; odd, not square, and different from what is traced
_TRACED, _COMPARED = (2, 1, 48, 64), (1, 1, 37, 51)


def write_onnx(model: SRModel, path: Path) -> None:
    """Write an ONNX file with one input and one output, both (N, 1, height, width).

    Raises
    ------
    ModelError
        If onnx or onnxruntime are missing, or the network does not follow the size of
        the image once it is written down.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"ONNX files need onnx and onnxruntime ({error}); {_INSTALL}"
        ) from error
    options: dict[str, Any] = {
        "input_names": ["input"],
        "output_names": ["output"],
        "opset_version": OPSET,
        "dynamic_axes": {
            "input": {0: "batch", 2: "height", 3: "width"},
            "output": {0: "batch", 2: "fine_height", 3: "fine_width"},
        },
    }
    # the exporter by tracing works in every torch since 2.4, and needs no onnxscript;
    # from 2.5 on it must be asked for
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    with _quiet(model) as network:
        torch.onnx.export(network, (_make_image(_TRACED),), str(path), **options)
    written = onnx.load(path)
    onnx.checker.check_model(written)
    onnx.helper.set_model_props(written, {CARD_ENTRY: _write_card(model)})
    onnx.save(written, path)
    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    _compare(model, lambda image: session.run(None, {"input": image.numpy()})[0])


def write_torchscript(model: SRModel, path: Path) -> None:
    """Write a TorchScript file that maps (N, 1, h, w) to (N, 1, factor h, factor w).

    Raises
    ------
    ModelError
        If the network does not follow the size of the image once it is written down.
    """
    with _quiet(model) as network:
        trace: Any = torch.jit.trace  # without types
        traced = trace(network, _make_image(_TRACED), check_trace=False)
        # by name: only of a name torch makes a file with the other entries
        torch.jit.save(
            traced, os.fspath(path), _extra_files={CARD_ENTRY: _write_card(model)}
        )
        _compare(model, lambda image: traced(image).numpy())


@contextmanager
def _quiet(model: SRModel) -> Iterator[nn.Module]:
    """Yield the network on the CPU, as it is traced, without warnings of exporters."""
    with warnings.catch_warnings(), torch.no_grad():
        # torch announces that other exporters will take their place
        warnings.simplefilter("ignore")
        yield model.to("cpu").network


def describe_exported(model: SRModel) -> ModelCard:
    """Return the card of an export: what belongs to the catalogue stays here."""
    # an export is one point between two models, and nothing says how far it is off
    gone = {"calibration": None, "blend_with": None, "sharpness": None}
    return model.card.model_copy(update=gone)


def _write_card(model: SRModel) -> str:
    return json.dumps(describe_exported(model).model_dump(mode="json"))


def _make_image(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _compare(model: SRModel, run: Callable[[Tensor], Float32Array]) -> None:
    """Refuse an export that does not do what the model does."""
    image = _make_image(_COMPARED)
    expected = model(image).numpy()
    try:
        found = run(image)
        worst = float(np.abs(found - expected).max())
    except Exception as error:
        # exporters and runtimes raise anything of a network that fixes its size
        raise _refuse(model, str(error)) from error
    if not worst <= TOLERANCE:
        raise _refuse(model, f"its export is off by {worst:.2g} of the range")


def _refuse(model: SRModel, reason: str) -> ModelError:
    return ModelError(
        f"{model.card.name} x{model.factor} ({model.card.architecture}) cannot be "
        f"exported for images of every size ({reason.partition(chr(10))[0][:200]}); "
        "export a model such as faithful or sharp"
    )
