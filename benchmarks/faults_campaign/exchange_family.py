"""Networks from other programs: ONNX files, and packages as folders and as zips."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults_campaign.odd_files import Family, change_bytes, change_json
from napari_structsr.errors import StructsrError
from napari_structsr.zoo.shipped import WEIGHTS


def _make_network() -> bytes:
    """Return a network that doubles an image, as ONNX: one layer, and its pixels."""
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["many"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["many"], ["fine"], blocksize=2),
    ]
    sides = {"image": ("h", "w"), "fine": ("H", "W")}
    given, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1, *side])
        for name, side in sides.items()
    )
    weights = [numpy_helper.from_array(kernel, "kernel")]
    graph = helper.make_graph(nodes, "g", [given], [made], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    data: bytes = model.SerializeToString()
    return data


def _describe() -> dict[str, Any]:
    """Return what a package says of it, as bioimage.io has it in 0.5."""
    size = {"min": 16, "step": 1}
    given = [{"type": "batch"}, {"type": "channel", "channel_names": ["a"]}]
    given += [{"type": "space", "id": name, "size": size} for name in "yx"]
    made = [{"type": "batch"}, {"type": "channel", "channel_names": ["a"]}]
    made += [
        {"type": "space", "id": name, "scale": 0.5, "halo": 4}
        | {"size": {"tensor_id": "in", "axis_id": name}}
        for name in "yx"
    ]
    first = [{"id": "scale_linear", "kwargs": {"gain": 0.5, "offset": 0.1}}]
    last = [{"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": -0.2}}]
    return {
        "format_version": "0.5.3",
        "type": "model",
        "name": "one layer",
        "license": "CC0-1.0",
        "inputs": [
            {"id": "in", "axes": given, "preprocessing": first}
            | {"data": {"type": "float32", "range": [0, 1]}}
        ],
        "outputs": [{"id": "out", "axes": made, "postprocessing": last}],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": 13}},
    }


def _make_packages(folder: Path) -> Path:
    package = folder / "files/package"
    package.mkdir(parents=True)
    (package / "weights.onnx").write_bytes(_make_network())
    # JSON is YAML
    (package / "rdf.yaml").write_text(json.dumps(_describe()), "utf-8")
    with zipfile.ZipFile(folder / "files/own.zip", "w") as archive:
        for ending in (".json", ".safetensors"):
            part = (WEIGHTS / "faithful-x2").with_suffix(ending)
            archive.write(part, f"structsr{ending}")
    return folder / "files"


def _load_all(path: Path) -> None:
    from napari_structsr.zoo.catalogue import find_card, load_model

    refused: StructsrError | None = None
    package = path / "package"
    # each is asked, whatever the one before says
    for one in (package, package / "weights.onnx", path / "own.zip"):
        try:
            find_card(str(one), factor=None)
            load_model(str(one), factor=None)
        except StructsrError as error:
            refused = error
    if refused:
        raise refused


EXCHANGE_FAMILY = Family(
    "network of others",
    _make_packages,
    _load_all,
    (
        ("files/package/rdf.yaml", change_json),
        ("files/package/rdf.yaml", change_json),
        ("files/package/weights.onnx", change_bytes),
        ("files/own.zip", change_bytes),
    ),
)
"""What is not ours to train, and runs here."""
