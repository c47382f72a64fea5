"""An ONNX file of somebody else: read, and looked through before anything runs it.

A graph is arithmetic: it names no program. What it can do beside arithmetic is to read
other files as its weights, and to repeat itself without end; both are refused.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_structsr.errors import ModelError, blame_file
from napari_structsr.io.limits import PARAMETERS, read_limited

ONNX_ENDING = ".onnx"

INSTALL = "run: pip install 'napari-structsr[zoo]'"
"""What to do where onnx or onnxruntime are missing."""

ONNX_BYTES = (1 << 31) - 1
"""Bytes of an ONNX file: the format itself ends there, 2 GiB."""

_ENDLESS = {"Loop", "Scan", "SequenceMap"}
_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16"}


@dataclass(frozen=True)
class OnnxGraph:
    """A network of one image, and what its file says of it.

    Parameters
    ----------
    data
        The file.
    sha256
        Its hash.
    shape
        Of the input; None where a size is free.
    dtype
        Of the input, "float32" or "float16".
    parameters
        Numbers that were learned.
    widest
        Features of its widest layer.
    notes
        Texts by name, as the one who wrote it has left them.
    """

    data: bytes = field(repr=False)
    sha256: str
    shape: tuple[int | None, ...]
    dtype: str
    parameters: int
    widest: int
    notes: dict[str, str]


def read_graph(path: Path) -> OnnxGraph:
    """Read an ONNX file.

    Raises
    ------
    ModelError
        As `parse_graph`, or if the file cannot be read.
    """
    try:
        data = read_limited(path, ONNX_BYTES)
    except OSError as error:
        raise ModelError(
            f"the model {path} cannot be read ({error.strerror}); check its path"
        ) from error
    return parse_graph(data, path)


def parse_graph(data: bytes, origin: str | Path) -> OnnxGraph:
    """Look through the bytes of an ONNX file.

    Parameters
    ----------
    data
        The bytes.
    origin
        Where they are from, for messages.

    Raises
    ------
    ModelError
        If onnx is missing, the file is damaged, it reads other files, may never end,
        or is no network of one image.
    """
    try:
        import onnx
    except ImportError as error:
        raise ModelError(f"{origin} needs onnx ({error}); {INSTALL}") from error
    remedy = "get the file again"
    with blame_file(origin, ModelError, what="an ONNX file", remedy=remedy):
        model = onnx.load_model_from_string(data)
        graphs = [model.graph, *model.functions]
        nodes, tensors = _walk(graphs)
        _refuse_unsafe(origin, nodes, tensors)
        known = {tensor.name for tensor in model.graph.initializer}
        inputs = [entry for entry in model.graph.input if entry.name not in known]
        if len(inputs) != 1 or len(model.graph.output) != 1:
            raise ModelError(
                f"{origin} has {len(inputs)} inputs and {len(model.graph.output)} "
                "outputs; give a network that takes one image and gives one"
            )
        kind = inputs[0].type.tensor_type
        word = onnx.TensorProto.DataType.Name(kind.elem_type)
        dtype = {"FLOAT": "float32", "FLOAT16": "float16"}.get(word)
        if dtype is None:
            raise ModelError(
                f"{origin} takes pixels of the type {word.lower()}; give a network "
                "that takes float32"
            )
        sizes = [math.prod(tensor.dims) for tensor in tensors]
        return OnnxGraph(
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
            shape=tuple(
                size.dim_value if size.dim_value > 0 else None
                for size in kind.shape.dim
            ),
            dtype=dtype,
            parameters=_check_parameters(origin, sum(sizes)),
            widest=max(
                (tensor.dims[0] for tensor in tensors if len(tensor.dims) == 4),
                default=1,
            ),
            notes={entry.key: entry.value for entry in model.metadata_props},
        )


def _walk(graphs: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Return all nodes, and all tensors that they hold, of graphs within graphs."""
    nodes: list[Any] = []
    tensors: list[Any] = []
    waiting = list(graphs)
    while waiting:
        graph = waiting.pop()
        tensors += getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            tensors += [sparse.values, sparse.indices]
        for node in graph.node:
            nodes.append(node)
            for entry in node.attribute:
                tensors += _list_tensors(entry)
                waiting += [*entry.graphs, *([entry.g] if entry.HasField("g") else [])]
    return nodes, tensors


def _list_tensors(entry: Any) -> Iterator[Any]:
    if entry.HasField("t"):
        yield entry.t
    yield from entry.tensors
    sparse = [*entry.sparse_tensors]
    if entry.HasField("sparse_tensor"):
        sparse.append(entry.sparse_tensor)
    for part in sparse:
        yield from (part.values, part.indices)


def _refuse_unsafe(origin: str | Path, nodes: list[Any], tensors: list[Any]) -> None:
    # 1 is EXTERNAL: the weights lie in another file, wherever that is
    if any(tensor.data_location == 1 or tensor.external_data for tensor in tensors):
        raise ModelError(
            f"{origin} names other files as its weights, which could be any of yours; "
            "save it as one file: onnx.save(onnx.load('model.onnx'), 'one.onnx')"
        )
    if found := sorted({node.op_type for node in nodes} & _ENDLESS):
        raise ModelError(
            f"{origin} holds {', '.join(found)}, which may never end; give a network "
            "of plain layers"
        )


def _check_parameters(origin: str | Path, count: int) -> int:
    if count > PARAMETERS:
        raise ModelError(
            f"{origin} holds {count} weights, more than the {PARAMETERS} allowed; "
            "give a smaller network"
        )
    return count
