"""A model as a package of the BioImage Model Zoo (bioimage.io).

It holds the network as ONNX and as TorchScript, an image and what becomes of it, a
description that other programs read, a page for people, and the weights with their
card, from which the model is had here again without a loss.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_structsr.core.types import Float32Array
from napari_structsr.errors import ModelError
from napari_structsr.io.weights import write_bundle
from napari_structsr.models.build import count_parameters
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.exchange.network_files import (
    OPSET,
    TOLERANCE,
    describe_exported,
    write_onnx,
    write_torchscript,
)
from napari_structsr.zoo.exchange.readme import write_readme
from napari_structsr.zoo.exchange.wish import ExportWish

BUNDLE = "structsr"
"""Name of the weights and of their card within a package, without the ending."""

HOME = "https://github.com/napari-structsr/napari-structsr"
"""Where those who cite a package are sent."""

_DEVELOPERS = "napari-structsr developers"
_FORMAT = "0.5.12"  # of the description
_SIDE = 60  # pixels of the test image along y, beside twice the radius
# of the statistics that the engine takes here, for networks that mind the range
_PERCENTILES = (0.1, 99.9)
_PAPERS = [
    {
        "text": "Shi et al. 2016, sub-pixel convolution",
        "doi": "10.1109/CVPR.2016.207",
    }
]


def write_package(model: SRModel, folder: Path, wish: ExportWish) -> None:
    """Write the files of a package.

    Parameters
    ----------
    model
        One input, one output: see `tell_optics`.
    folder
        An empty folder.
    wish
        Authors and licence.

    Raises
    ------
    ModelError
        If bioimageio.core is missing, the licence has no SPDX identifier, or the model
        cannot be exported.
    """
    try:
        from bioimageio.spec import (
            ValidationContext,
            build_description,
            save_bioimageio_yaml_only,
        )
    except ImportError as error:
        raise ModelError(
            f"bioimage.io packages need bioimageio.core ({error}); run: "
            "pip install 'napari-structsr[export]'"
        ) from error
    write_onnx(model, folder / "weights.onnx")
    write_torchscript(model, folder / "weights.pt")
    card = describe_exported(model)
    write_bundle(
        folder / f"{BUNDLE}.safetensors",
        card.model_dump(mode="json"),
        model.network.state_dict(),
        exact=True,
    )
    image = draw_test_image(_SIDE + 2 * model.radius)
    result = model(torch.from_numpy(_normalise(model, image))).numpy()
    np.save(folder / "test_input.npy", image)
    np.save(folder / "test_output.npy", result)
    _write_cover(image, result, folder / "cover.png")
    text = write_readme(model, licence=choose_licence(model, wish))
    (folder / "README.md").write_text(text, encoding="utf-8")
    # an address that is known is not asked for: nothing here calls anybody
    with (
        warnings.catch_warnings(),
        ValidationContext(root=folder, known_files={HOME: None}),
    ):
        # the library leaves the files that it has read to the interpreter
        warnings.simplefilter("ignore", ResourceWarning)
        described = _check(
            build_description(_describe(model, wish)), choose_licence(model, wish)
        )
        save_bioimageio_yaml_only(described, folder / "rdf.yaml")


def _normalise(model: SRModel, image: Float32Array) -> Float32Array:
    """Return the image as the preprocessing of the description hands it over."""
    if model.card.intensity_equivariant:
        return image
    low, high = np.percentile(image, _PERCENTILES)
    values: Float32Array = (image - low) / (high - low + 1e-6)
    return values.astype(np.float32)


def draw_test_image(side: int) -> Float32Array:
    """Return filaments and spots in 0..1, shape (1, 1, side, side + 11), odd or even.

    Drawn here, so that no licence comes with them.
    """
    rows, columns = np.mgrid[:side, : side + 11].astype(np.float64)
    generator = np.random.default_rng(0)
    image = np.full(rows.shape, 0.05)
    for turn, offset in generator.uniform((0, -0.4), (np.pi, 0.4), (9, 2)):
        across = (rows - side / 2) * np.cos(turn) + (columns - side / 2) * np.sin(turn)
        bent = across - offset * side + 4 * np.sin(columns / 9 + turn)
        image += 0.35 * np.exp(-((bent / 1.1) ** 2) / 2)
    for y, x, width in generator.uniform((0, 0, 0.8), (side, side, 2.5), (40, 3)):
        image += 0.5 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2 / width**2)
    image += generator.normal(0, 0.01, image.shape)
    values: Float32Array = (np.clip(image, 0, None) / image.max()).astype(np.float32)
    return values[None, None]


def _describe(model: SRModel, wish: ExportWish) -> dict[str, Any]:
    """Return what the package says of itself, as specified by bioimage.io in 0.5."""
    card = model.card
    entries: dict[str, Any] = {
        "format_version": _FORMAT,
        "type": "model",
        "name": re.sub(r"[^A-Za-z0-9_+\- ()]", "_", f"{card.name} x{card.factor}")
        + " super-resolution",
        "description": card.description or f"Super-resolution by {card.factor}.",
        "authors": [{"name": name} for name in list_authors(wish)],
        "cite": [{"text": "napari-structsr", "url": HOME}, *_PAPERS],
        "tags": ["super-resolution", "microscopy", "fluorescence", "2d", "structsr"],
        "documentation": {"source": "README.md"},
        "covers": [{"source": "cover.png"}],
        "attachments": [
            {"source": f"{BUNDLE}{ending}"} for ending in (".safetensors", ".json")
        ],
        "inputs": [_describe_input(model)],
        "outputs": [_describe_output(model)],
        "weights": {
            "onnx": {
                "source": "weights.onnx",
                "opset_version": OPSET,
                "parent": "torchscript",
            },
            "torchscript": {
                "source": "weights.pt",
                "pytorch_version": torch.__version__.partition("+")[0],
            },
        },
        "config": {
            "bioimageio": {
                "reproducibility_tolerance": [
                    {"relative_tolerance": TOLERANCE, "absolute_tolerance": TOLERANCE}
                ],
                "model_parameter_count": count_parameters(model.network),
                "task": "super-resolution",
            }
        },
    }
    if licence := choose_licence(model, wish):
        entries["license"] = licence
    return entries


def _describe_input(model: SRModel) -> dict[str, Any]:
    # so large that something is left of the result within the halo
    size = {"min": 2 * model.radius + 1, "step": 1}
    tensor: dict[str, Any] = {
        "id": "input",
        "description": "Measured planes of one channel.",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": ["intensity"]},
            {"type": "space", "id": "y", "size": size},
            {"type": "space", "id": "x", "size": size},
        ],
        "test_tensor": {"source": "test_input.npy"},
        "data": {"type": "float32"},
    }
    if not model.card.intensity_equivariant:
        low, high = _PERCENTILES
        kwargs = {
            "axes": ["channel", "y", "x"],
            "min_percentile": low,
            "max_percentile": high,
        }
        tensor["preprocessing"] = [{"id": "scale_range", "kwargs": kwargs}]
    return tensor


def _describe_output(model: SRModel) -> dict[str, Any]:
    axes: list[dict[str, Any]] = [
        {
            "type": "space",
            "id": name,
            "size": {"tensor_id": "input", "axis_id": name, "offset": 0},
            "scale": 1 / model.factor,
            "halo": model.radius * model.factor,
        }
        for name in "yx"
    ]
    return {
        "id": "output",
        "description": f"The same planes with pixels {model.factor} times as fine.",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": ["intensity"]},
            *axes,
        ],
        "test_tensor": {"source": "test_output.npy"},
        "data": {"type": "float32"},
    }


def list_authors(wish: ExportWish) -> tuple[str, ...]:
    """Return the names of those who made the model."""
    return wish.authors or (_DEVELOPERS,)


def choose_licence(model: SRModel, wish: ExportWish) -> str | None:
    """Return the SPDX identifier of the licence; None where none was chosen."""
    licence = wish.licence or model.card.licence
    return None if licence in ("not stated", "unknown") else licence


def _check(description: Any, licence: str | None) -> Any:
    """Return a description that bioimage.io takes, or raise what it refuses."""
    faults = description.validation_summary
    if faults.status != "failed":
        return description
    if any("license" in error.loc for error in faults.errors):
        raise ModelError(
            f"the licence {licence!r} has no SPDX identifier; give one with --licence, "
            "such as BSD-3-Clause or CC-BY-4.0"
        )
    lines = [f"{'.'.join(map(str, error.loc))}: {error.msg}" for error in faults.errors]
    raise ModelError(
        f"bioimage.io refuses the description of the model ({'; '.join(lines)[:300]}); "
        "give other --author or --licence"
    )


def _write_cover(image: Float32Array, result: Float32Array, path: Path) -> None:
    """Draw what was measured beside what becomes of it, twice as wide as high."""
    import imageio.v3 as imageio

    side = result.shape[-2]
    factor = side // image.shape[-2]
    plain = image.repeat(factor, axis=-2).repeat(factor, axis=-1)
    halves = [half[0, 0, :side, :side] for half in (plain, result)]
    pixels = np.clip(np.concatenate(halves, axis=1) * 255, 0, 255).astype(np.uint8)
    imageio.imwrite(path, pixels, extension=".png")
