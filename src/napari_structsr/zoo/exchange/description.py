"""What a bioimage.io package says of its network, in the formats 0.4 and 0.5.

Read is what decides pixels: axes, sizes, halo, and how values are counted. What cannot
be done tile by tile, such as a normalisation of each image by itself, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from napari_structsr.errors import ModelError, blame_file
from napari_structsr.models.onnx_network import Units
from napari_structsr.zoo.exchange.onnx_models import Manners

_REMEDY = "get the package again"
_LETTERS = {"batch": "b", "channel": "c", "b": "b", "c": "c", "y": "y", "x": "x"}
# statistics of the engine stand for those of a description: a robust range of a channel
_RANGED = ("scale_range",)
_MOST_HALO = 512  # measured pixels; more than any tile can read around itself
_FREE = ("ensure_dtype",)


def parse_description(text: bytes, path: Path) -> tuple[str, str | None, Manners]:
    """Read the description of a package.

    Parameters
    ----------
    text
        The YAML.
    path
        Of the package, for messages.

    Returns
    -------
    tuple
        Name of the ONNX file, its SHA-256 if it is named, and what must be known.

    Raises
    ------
    ModelError
        If it is damaged, holds no ONNX network, or asks for what is not done here.
    """
    try:
        import yaml
    except ImportError as error:
        raise ModelError(
            f"{path} needs pyyaml ({error}); run: pip install 'napari-structsr[zoo]'"
        ) from error
    with blame_file(
        path, ModelError, what="a description of bioimage.io", remedy=_REMEDY
    ):
        # plain values alone: tags of Python are an error
        found = yaml.safe_load(text)
        if not isinstance(found, dict) or found.get("type", "model") != "model":
            raise ModelError(f"{path} is no package of a model; give one of a network")
        weights = found["weights"]
        if "onnx" not in weights:
            raise ModelError(
                f"{path} holds its network as {', '.join(sorted(weights))} alone; of "
                "strangers only ONNX is run here, as the others can hold programs: ask "
                "for a package with ONNX weights"
            )
        inputs, outputs = found["inputs"], found["outputs"]
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; give a "
                "network that takes one image and gives one"
            )
        entry = weights["onnx"]
        return (
            str(entry["source"]),
            entry.get("sha256"),
            _read_manners(found, inputs[0], outputs[0], path),
        )


def _read_manners(
    found: Mapping[str, Any],
    given: Mapping[str, Any],
    made: Mapping[str, Any],
    path: Path,
) -> Manners:
    order = _read_order(given["axes"], path)
    takes, low, high = _read_units(given, "preprocessing", path)
    gives, below, above = _read_units(made, "postprocessing", path, known=(low, high))
    minimum, step = _read_sizes(given, order, path)
    factor, halo = _read_halo(made)
    licence = found.get("license")
    return Manners(
        order=order,
        made=_read_order(made["axes"], path),
        # of a value in 0..1: first in the unit of the image, then as the network counts
        takes=Units(takes.gain * (high - low), takes.gain * low + takes.offset),
        # the other way round
        gives=Units((above - below) / gives.gain, (below - gives.offset) / gives.gain),
        minimum=minimum,
        step=step,
        halo=min(math.ceil(halo / factor), _MOST_HALO),
        description=str(found.get("description") or "")[:500],
        licence=licence if isinstance(licence, str) else "unknown",
    )


def _read_order(axes: Any, path: Path) -> str:
    """Return the letters of axes; those of one plane."""
    if isinstance(axes, str):
        names = list(axes)
    else:
        names = [str(axis.get("id") or axis["type"]) for axis in axes]
    letters = "".join(_LETTERS.get(name, "?") for name in names)
    if "?" in letters or not {"y", "x"} <= set(letters):
        raise ModelError(
            f"{path} works on the axes {', '.join(names)}; give a network of single "
            "planes, of batch, channel, y and x"
        )
    return letters


def _read_sizes(
    given: Mapping[str, Any], order: str, path: Path
) -> tuple[int | None, int | None]:
    """Return the least size of an image, and by which steps it grows."""
    if isinstance(given["axes"], str):
        shape = given["shape"]
        if not isinstance(shape, Mapping):
            return None, None  # a fixed size stands in the graph as well
        least, steps = shape["min"], shape["step"]
        sizes = [(least[k], steps[k]) for k, name in enumerate(order) if name in "yx"]
    else:
        entries = [
            axis.get("size")
            for axis, name in zip(given["axes"], order, strict=True)
            if name in "yx"
        ]
        parameters = [one for one in entries if isinstance(one, Mapping)]
        sizes = [(one["min"], one["step"]) for one in parameters if "min" in one]
    if not sizes or any(step <= 0 for _, step in sizes):
        return None, None
    return max(int(least) for least, _ in sizes), math.lcm(
        *(int(step) for _, step in sizes)
    )


def _read_halo(made: Mapping[str, Any]) -> tuple[float, int]:
    """Return how much finer the result is, and what of its border is dropped."""
    axes = made["axes"]
    if isinstance(axes, str):
        shape, halo = made["shape"], made.get("halo") or [0]
        scales = shape.get("scale", [1]) if isinstance(shape, Mapping) else [1]
        return max(1.0, *map(float, scales)), max(map(int, halo))
    spaces = [axis for axis in axes if axis.get("type") == "space"]
    halos = [int(axis.get("halo") or 0) for axis in spaces]
    finest = min((float(axis.get("scale") or 1) for axis in spaces), default=1.0)
    return max(1.0, 1 / finest), max(halos, default=0)


def _read_units(
    tensor: Mapping[str, Any],
    steps: str,
    path: Path,
    *,
    known: tuple[float, float] | None = None,
) -> tuple[Units, float, float]:
    """Return what steps do to a value, and the values that stand for 0 and 1."""
    low, high = _read_range(tensor) or known or (0.0, 1.0)
    gain, offset = 1.0, 0.0
    for step in tensor.get(steps) or ():
        name = str(step.get("id") or step.get("name"))
        values = step.get("kwargs") or {}
        if name in _FREE:
            continue
        if name in _RANGED and known is None and (gain, offset) == (1.0, 0.0):
            low, high = 0.0, 1.0
            continue
        more = _read_linear(name, values)
        if more is None:
            raise ModelError(
                f"{path} asks for {name} as {steps}, which would differ from tile to "
                "tile or is unknown; give a network that wants scale_linear, "
                "scale_range or nothing"
            )
        gain, offset = gain * more[0], offset * more[0] + more[1]
    return Units(gain, offset), low, high


def _read_linear(name: str, values: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return gain and offset of a step that is the same for every pixel."""
    if name == "scale_linear":
        gain, offset = _one(values.get("gain", 1.0)), _one(values.get("offset", 0.0))
    elif name == "fixed_zero_mean_unit_variance" or (
        name == "zero_mean_unit_variance" and values.get("mode") == "fixed"
    ):
        mean, spread = _one(values["mean"]), _one(values["std"])
        if mean is None or not spread:
            return None
        gain, offset = 1 / spread, -mean / spread
    else:
        return None
    return None if not gain or offset is None else (gain, offset)


def _one(values: Any) -> float | None:
    """Return the number that holds for all channels; None where they differ."""
    listed = list(values) if isinstance(values, Iterable) else [values]
    return float(listed[0]) if len({*map(float, listed)}) == 1 else None


def _read_range(tensor: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the values that an image can have, if that is said."""
    data = tensor.get("data") or {}
    if isinstance(data, list):
        data = data[0]
    span = data.get("range") or tensor.get("data_range") or (None, None)
    kind = str(data.get("type") or tensor.get("data_type") or "")
    if all(isinstance(one, (int, float)) for one in span):
        low, high = map(float, span)
        if math.isfinite(low) and math.isfinite(high) and high > low:
            return low, high
    return {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}.get(kind)
