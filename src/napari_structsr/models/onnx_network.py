"""An ONNX graph as a module of torch, computed by onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_structsr.errors import ModelError
from napari_structsr.imaging.filters import reflect_pad
from napari_structsr.models.onnx_graph import INSTALL, OnnxGraph


@dataclass(frozen=True)
class Units:
    """How a network counts: ``given = gain * value + offset``, for values near 0..1."""

    gain: float = 1.0
    offset: float = 0.0


class OnnxNetwork(nn.Module):
    """A network of others that onnxruntime computes.

    Parameters
    ----------
    graph
        What is computed.
    order, made
        Axes of its input and of its output, each of "b", "c", "y" and "x" at most once.
    takes, gives
        How it counts pixel values.

    Raises
    ------
    ModelError
        If onnxruntime is missing, or does not know what the graph computes.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        *,
        order: str = "bcyx",
        made: str = "bcyx",
        takes: Units | None = None,
        gives: Units | None = None,
    ) -> None:
        super().__init__()
        self._graph = graph
        self._order, self._made = order, made
        self._takes, self._gives = takes or Units(), gives or Units()
        self._sessions: dict[str, Any] = {}
        self._open("cpu")

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, C, factor h, factor w)."""
        session = self._open(str(image.device))
        values = image * self._takes.gain + self._takes.offset
        planes = [self._run(session, plane) for plane in values.cpu().numpy()]
        result = torch.from_numpy(np.stack(planes)).to(image.device)
        return (result - self._gives.offset) / self._gives.gain

    def _run(self, session: Any, plane: np.ndarray[Any, Any]) -> Any:
        """Run one image, shape (C, h, w), whatever order the graph wants."""
        axes = [name for name in self._order if name != "b"]
        given = plane.transpose(["cyx".index(name) for name in axes])
        if "b" in self._order:
            given = np.expand_dims(given, self._order.index("b"))
        name = session.get_inputs()[0].name
        found = session.run(None, {name: given.astype(self._graph.dtype)})[0]
        found = found.astype(np.float32)
        if "b" in self._made:
            found = np.take(found, 0, axis=self._made.index("b"))
        axes = [name for name in self._made if name != "b"]
        if "c" not in axes:
            found, axes = found[None], ["c", *axes]
        return found.transpose([axes.index(name) for name in "cyx"])

    def _open(self, device: str) -> Any:
        """Return the session of a device of torch."""
        if device in self._sessions:
            return self._sessions[device]
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(
                f"ONNX networks need onnxruntime ({error}); {INSTALL}"
            ) from error
        provider: Any = "CPUExecutionProvider"
        if device != "cpu":
            # an error of the kind of devices: then the next one is tried
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise RuntimeError(
                    "onnxruntime computes on the CPU alone here; for a CUDA GPU "
                    "install onnxruntime-gpu in its place"
                )
            number = int(device.partition(":")[2] or 0)
            provider = ("CUDAExecutionProvider", {"device_id": number})
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            # without a second try, which would print whatever the file says
            self._sessions[device] = onnxruntime.InferenceSession(
                self._graph.data, options, providers=[provider], enable_fallback=0
            )
        except Exception as error:
            # it has no errors of its own that could be told apart
            raise ModelError(
                "onnxruntime does not take the network "
                f"({str(error).partition(chr(10))[0][:200]}); export it again, or "
                "update onnxruntime"
            ) from error
        return self._sessions[device]


class FixedSizeNetwork(nn.Module):
    """A network of one size of image, laid over images of every size.

    Parameters
    ----------
    network
        Maps (N, C, side[0], side[1]) to the finer image.
    side
        Rows and columns that it takes.
    factor
        Upscaling factor along y and x.
    margin
        Pixels at the border of a piece that are taken from its neighbour.
    align
        Pixels of whose multiples pieces begin.
    """

    def __init__(
        self,
        network: nn.Module,
        side: tuple[int, int],
        *,
        factor: int,
        margin: int,
        align: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self._side, self._factor = side, factor
        self._margin, self._align = margin, align

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, C, factor h, factor w)."""
        height, width = image.shape[-2:]
        rows, columns = self._side
        below, beside = max(0, rows - height), max(0, columns - width)
        padded = reflect_pad(image, (0, below), (0, beside))
        factor = self._factor
        result: Tensor | None = None
        down, across = (
            self._cut(size, one)
            for size, one in zip(padded.shape[-2:], self._side, strict=True)
        )
        for top, upper, lower in down:
            for left, first, last in across:
                piece = self.network(
                    padded[..., top : top + rows, left : left + columns]
                )
                if result is None:
                    shape = [factor * size for size in padded.shape[-2:]]
                    result = piece.new_empty((*piece.shape[:2], *shape))
                result[
                    ..., upper * factor : lower * factor, first * factor : last * factor
                ] = piece[
                    ...,
                    (upper - top) * factor : (lower - top) * factor,
                    (first - left) * factor : (last - left) * factor,
                ]
        assert result is not None
        return result[..., : height * factor, : width * factor]

    def _cut(self, size: int, side: int) -> list[tuple[int, int, int]]:
        """Return where pieces begin, and from where to where each is kept."""
        step = max((side - 2 * self._margin) // self._align, 1) * self._align
        starts = [*range(0, size - side, step), size - side]
        ends = [start + side - self._margin for start in starts[:-1]] + [size]
        return list(zip(starts, [0, *ends[:-1]], ends, strict=True))
