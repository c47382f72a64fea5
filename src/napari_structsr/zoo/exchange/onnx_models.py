"""ONNX files that upscale, made ready for the engine.

No such file says by what factor it upscales, which sizes it takes, or how far it sees;
all of it is found by showing it images.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_structsr.errors import ModelError, StructsrError
from napari_structsr.io.foreign_weights import ForeignModel
from napari_structsr.models.card import ModelCard
from napari_structsr.models.onnx_graph import OnnxGraph

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_structsr.models.model import SRModel
    from napari_structsr.models.onnx_network import OnnxNetwork, Units
    from napari_structsr.models.receptive_field import ReceptiveField

_PSF_SIGMA = 0.4  # measured pixels; that of the models here, since none is named
_FACTORS = range(2, 9)
_GRIDS = (1, 2, 4, 8, 16, 32, 64)
_SIDE = 64  # least pixels of an image that is shown to a network
_LARGEST_SIDE = 2048
_HEAVY = 6_000_000  # weights from which on images shown stay small
_measured: dict[tuple[str, int], ReceptiveField] = {}


@dataclass(frozen=True)
class Manners:
    """What a description says of a network, and its file does not.

    Parameters
    ----------
    order, made
        Axes of input and output, of the letters b, c, y and x; None where the file
        itself must tell.
    takes, gives
        How it counts pixel values; None for 0..1.
    minimum, step
        Sizes that it takes: `minimum` and `step` pixels more any number of times.
    halo
        Measured pixels at the border of a result that are not to be kept.
    description, licence
        For people.
    """

    order: str | None = None
    made: str | None = None
    takes: Units | None = None
    gives: Units | None = None
    minimum: int | None = None
    step: int | None = None
    halo: int = 0
    description: str = ""
    licence: str = "unknown"


def make_onnx_card(graph: OnnxGraph, path: Path, manners: Manners) -> ModelCard:
    """Describe an ONNX network by what it does.

    Raises
    ------
    ModelError
        If it does not upscale images.
    """
    return _make_card(graph, _fit(graph, path, manners).factor, path, manners)


def load_onnx_model(graph: OnnxGraph, path: Path, manners: Manners) -> SRModel:
    """Make a model that the engine can run; takes some seconds for deep networks.

    Raises
    ------
    ModelError
        If it does not upscale images, or what it does depends on where they begin.
    """
    from napari_structsr.models.build import adapt_network
    from napari_structsr.models.impulse_response import find_grid, measure_by_impulses
    from napari_structsr.models.model import SRModel
    from napari_structsr.models.onnx_network import FixedSizeNetwork

    found = _fit(graph, path, manners)
    factor, side = found.factor, _find_side(graph, manners)
    fixed = find_fixed_size(graph, manners)
    whole: nn.Module = found.module
    if fixed:  # smaller images are continued, so that any part of it can be shown
        whole = FixedSizeNetwork(whole, fixed, factor=factor, margin=0)
    network = adapt_network(replace(found, module=whole))
    shown = min(fixed) if fixed else side
    grid = find_grid(network, factor=factor, side=shown)
    if grid is None:
        raise ModelError(
            f"{path} gives another result where the image begins elsewhere, so that "
            "tiles of it do not fit; give a network of plain layers"
        )
    align = math.lcm(grid, found.multiple)
    if (graph.sha256, manners.halo) not in _measured:
        network.align = align
        field = measure_by_impulses(
            network,
            factor=factor,
            align=align,
            cost=graph.parameters,
            side=shown if fixed else None,
        )
        # what the author asks for is kept, where it is more
        field = replace(field, radius=max(field.radius, manners.halo))
        _measured[graph.sha256, manners.halo] = field
    field = _measured[graph.sha256, manners.halo]
    module: nn.Module = found.module
    if fixed:
        margin = min(field.radius, min(fixed) // 4)
        module = FixedSizeNetwork(
            module, fixed, factor=factor, margin=margin, align=align
        )
    network = adapt_network(replace(found, module=module, multiple=align))
    # torch sees nothing of what is computed: the widest layer, at fine pixels, twice
    network.activations = 2 * graph.widest * factor**2
    card = _make_card(graph, factor, path, manners).model_copy(
        update={"radius": field.radius, "seam": field.seam}
    )
    return SRModel(
        card,
        network.state_dict(),
        origin=str(path.absolute()),
        network=network,
        low_precision=False,
    )


def find_fixed_size(graph: OnnxGraph, manners: Manners) -> tuple[int, int] | None:
    """Return the height and width that a network takes, if it takes no others."""
    order = manners.order or _guess_order(graph)
    rows, columns = (graph.shape[order.index(name)] for name in "yx")
    return (rows, columns) if rows and columns else None


def _make_card(
    graph: OnnxGraph, factor: int, path: Path, manners: Manners
) -> ModelCard:
    entries: dict[str, Any] = {
        "name": path.name,
        "description": manners.description or "ONNX network, trained elsewhere.",
        "architecture": "onnx",
        "factor": factor,
        "psf_sigma": _PSF_SIGMA,
        "intensity_equivariant": False,
        "licence": manners.licence,
        "sha256": graph.sha256,
    }
    own = read_own_card(graph, path)
    if own is not None:
        entries |= {
            "description": own.description,
            "psf_sigma": own.psf_sigma,
            "intensity_equivariant": own.intensity_equivariant,
            "licence": own.licence,
            "data": own.data,
        }
    return ModelCard(**entries)


def read_own_card(graph: OnnxGraph, path: Path) -> ModelCard | None:
    """Return the card in a file that was exported here."""
    from napari_structsr.zoo.exchange.network_files import CARD_ENTRY

    text = graph.notes.get(CARD_ENTRY)
    if text is None:
        return None
    try:
        return ModelCard.parse(json.loads(text), origin=str(path))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"the card in {path} is damaged ({str(error)[:200]}); export the model "
            "again"
        ) from error


def _fit(graph: OnnxGraph, path: Path, manners: Manners) -> ForeignModel:
    """Find channels, sizes and factor of a network."""
    from napari_structsr.models.onnx_network import OnnxNetwork

    order = manners.order or _guess_order(graph)
    module = OnnxNetwork(
        graph,
        order=order,
        made=manners.made or order,
        takes=manners.takes,
        gives=manners.gives,
    )
    channels = graph.shape[order.index("c")] if "c" in order else 1
    if channels not in (None, 1, 3):
        raise ModelError(
            f"{path} takes {channels} channels; give a network for grey or RGB images"
        )
    fixed = find_fixed_size(graph, manners)
    side = fixed or (_find_side(graph, manners),) * 2
    if max(side) > _LARGEST_SIDE:
        raise ModelError(
            f"{path} asks for images of {side[0]} x {side[1]} pixels, more than "
            f"{_LARGEST_SIDE} along a side; give a network for smaller pieces"
        )
    tried = (channels,) if channels else (1, 3)
    fault: Exception | None = None
    for count in tried:
        try:
            made = _show(module, count, side)
            break
        except StructsrError:
            raise
        except Exception as error:
            # onnxruntime raises what has no family
            fault = error
    else:
        raise ModelError(
            f"{path} does not run on an image of {side[0]} x {side[1]} pixels "
            f"({str(fault).partition(chr(10))[0][:200]}); export it for images of "
            "every size"
        ) from fault
    factor = made.shape[-2] / side[0]
    least = 1 if read_own_card(graph, path) else _FACTORS[0]
    if factor != made.shape[-1] / side[1] or factor not in range(least, 9):
        raise ModelError(
            f"{path} makes {made.shape[-2]} x {made.shape[-1]} pixels of {side[0]} x "
            f"{side[1]}; give a network that upscales by {_FACTORS[0]} to "
            f"{_FACTORS[-1]} along both"
        )
    multiple = 1 if fixed else _find_multiple(module, count, side[0], manners)
    return ForeignModel(
        module=module,
        architecture="ONNX network",
        factor=int(factor),
        inputs=count,
        outputs=made.shape[1],
        minimum=1 if fixed else _find_minimum(module, count, multiple, side[0]),
        multiple=multiple,
        square=False,
        low_precision=False,
        sha256=graph.sha256,
    )


def _guess_order(graph: OnnxGraph) -> str:
    """Return the axes of a network that nobody describes."""
    if len(graph.shape) != 4:
        raise ModelError(
            f"the network takes {len(graph.shape)} axes; give one that takes images "
            "of the shape (batch, channels, height, width)"
        )
    last = graph.shape[3] in (1, 3) and graph.shape[1] not in (1, 3)
    return "byxc" if last else "bcyx"


def _find_side(graph: OnnxGraph, manners: Manners) -> int:
    """Return the side of an image that a network takes."""
    wanted = _SIDE if graph.parameters > _HEAVY else 2 * _SIDE
    if manners.minimum is None:
        return wanted
    step = manners.step or 1
    return manners.minimum + max(-(-(wanted - manners.minimum) // step), 0) * step


def _find_multiple(
    module: OnnxNetwork, channels: int, side: int, manners: Manners
) -> int:
    """Return the least number of whose multiples the sizes of images are."""
    if manners.step and manners.minimum and manners.minimum % manners.step == 0:
        return manners.step
    for multiple in _GRIDS:
        try:
            _show(module, channels, (side + multiple, side))
        except Exception:
            # it wants a multiple of more
            continue
        return multiple
    return side


def _find_minimum(module: OnnxNetwork, channels: int, multiple: int, side: int) -> int:
    """Return a small side of images that a network takes.

    A description asks for more where nothing would be left within its halo.
    """
    size = multiple
    while size < side:
        try:
            _show(module, channels, (size, size))
        except Exception:
            size *= 2
        else:
            return size
    return side


def _show(module: OnnxNetwork, channels: int, side: tuple[int, int]) -> Tensor:
    import torch

    image = torch.rand((1, channels, *side), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        made: Tensor = module(image)
    return made
