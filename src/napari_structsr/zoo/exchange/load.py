"""Models from other programs: ONNX files, bioimage.io packages, and our own zips."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_structsr.errors import ModelError, blame_file
from napari_structsr.io.limits import WEIGHTS_BYTES
from napari_structsr.models.card import ModelCard
from napari_structsr.models.onnx_graph import (
    ONNX_BYTES,
    ONNX_ENDING,
    OnnxGraph,
    parse_graph,
    read_graph,
)
from napari_structsr.zoo.exchange.archive import DESCRIPTIONS, Archive, is_package

if TYPE_CHECKING:
    from napari_structsr.models.model import SRModel


def is_exchanged(path: Path) -> bool:
    """Tell what comes from other programs from files of weights."""
    return path.suffix.lower() == ONNX_ENDING or is_package(path)


def read_exchanged_card(path: Path) -> ModelCard:
    """Return what is known of a model.

    Raises
    ------
    ModelError
        As in `load_exchanged_model`.
    """
    from napari_structsr.zoo.exchange.onnx_models import Manners, make_onnx_card

    if not is_package(path):
        return make_onnx_card(read_graph(path), path, Manners())
    with Archive(path) as archive:
        if name := _find_bundle(archive):
            return _read_bundle_card(archive, name)
        graph, manners = _read_network(archive)
    return make_onnx_card(graph, path, manners)


def load_exchanged_model(path: Path) -> SRModel:
    """Load an .onnx file, or a package: a zip or a folder.

    A package that was exported here holds its weights and its card, and gives the same
    pixels as before; of others the ONNX network is taken.

    Raises
    ------
    ModelError
        If it is damaged, does not upscale, or asks for what is not run here.
    """
    from napari_structsr.zoo.exchange.onnx_models import Manners, load_onnx_model

    if not is_package(path):
        return load_onnx_model(read_graph(path), path, Manners())
    with Archive(path) as archive:
        if name := _find_bundle(archive):
            return _load_bundle(archive, name)
        graph, manners = _read_network(archive)
    return load_onnx_model(graph, path, manners)


def _find_bundle(archive: Archive) -> str | None:
    """Return the name of weights that have a card beside them, without the ending."""
    stems = [name.removesuffix(".safetensors") for name in archive.names]
    found = [
        name
        for name in stems
        if {f"{name}.safetensors", f"{name}.json"} <= {*archive.names}
    ]
    return found[0] if len(found) == 1 else None


def _read_bundle_card(archive: Archive, name: str) -> ModelCard:
    remedy = "export the model again"
    with blame_file(archive.path, ModelError, what="a model", remedy=remedy):
        entries: Any = json.loads(archive.read(f"{name}.json"))
    return ModelCard.parse(entries, origin=f"{archive.path}: {name}.json")


def _load_bundle(archive: Archive, name: str) -> SRModel:
    import safetensors.torch

    from napari_structsr.models.model import SRModel

    card = _read_bundle_card(archive, name)
    data = archive.read(f"{name}.safetensors", WEIGHTS_BYTES)
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise ModelError(
            f"the weights in {archive.path} are not those of their card: one of the "
            "two is damaged; export the model again"
        )
    remedy = "export the model again"
    with blame_file(archive.path, ModelError, what="weights", remedy=remedy):
        weights = safetensors.torch.load(data)
    return SRModel(card, weights, origin=str(archive.path.absolute()))


def _read_network(archive: Archive) -> tuple[OnnxGraph, Any]:
    from napari_structsr.zoo.exchange.description import parse_description

    found = [name for name in DESCRIPTIONS if name in archive.names]
    if not found:
        raise ModelError(
            f"{archive.path} holds neither {DESCRIPTIONS[0]}, as a package of "
            "bioimage.io does, nor a model that was exported here; give the file of a "
            "model"
        )
    source, sha256, manners = parse_description(archive.read(found[0]), archive.path)
    data = archive.read(source, ONNX_BYTES)
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(
            f"{source} in {archive.path} is not the file that its description names; "
            "get the package again"
        )
    return parse_graph(data, f"{archive.path}: {source}"), manners
