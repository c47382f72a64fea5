"""A residual generator whose layers are computed together with what follows them.

Where a CPU multiplies matrices in half precision, a convolution takes no longer than
a pass over its result. So the rectifier after it, or the addition, is computed with it:
oneDNN does so, through the operations that torch's own compiler takes. They are called
here without a compiler, which users seldom have. A sum is rounded once then, not twice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_structsr.models.generator import ResidualGenerator

# padding, stride and dilation of 3 x 3 filters, and groups
_GEOMETRY = [1, 1], [1, 1], [1, 1], 1
# oneDNN divides rows of the result among the tiles of a processor's matrix unit, and
# rows of 1043 pixels take twice as long as those of 1040; multiples of it never do
_COLUMNS = 16


class FusedGenerator:
    """The same function as a residual generator, on the CPU, without gradients.

    Parameters
    ----------
    network
        On the CPU.
    dtype
        Of the features.
    """

    def __init__(self, network: ResidualGenerator, dtype: torch.dtype) -> None:
        self._network, self._dtype = network, dtype
        # by name, as they are kept
        weights = {
            name: value.detach().to(dtype, memory_format=torch.channels_last)
            for name, value in network.named_parameters()
            if name.startswith(("body", "join", "tail"))
        }
        self._body = [
            [weights[f"body.{n}.{layer}.weight"] for layer in ("first", "second")]
            for n in range(network.blocks)
        ]
        self._join, self._tail = weights["join.weight"], weights["tail.weight"]

    def __call__(self, image: Tensor) -> Tensor:
        """Map (N, 1, h, w) to (N, 1, factor h, factor w), in the same unit."""
        with torch.inference_mode():
            columns = image.shape[-1]
            first = self._take_features(self._network.find_differences(image))
            features = first
            # beyond the image lies nothing, as every layer takes it, and a layer looks
            # one pixel beyond it
            beyond = slice(columns, columns + 1)
            for inner, outer in self._body:
                change = _convolve(features, inner, "relu")
                change[..., beyond] = 0
                # the first features are needed once more at the end
                features = _add(features, change, outer, in_place=features is not first)
                features[..., beyond] = 0
            first = _add(first, features, self._join, in_place=True)
            first[..., beyond] = 0
            change = _convolve(first, self._tail, "none")[..., :columns]
            # last: it would lie between what the layers free
            del features, first
            result = self._network.interpolate(image)
            _add_shuffled(result, change, self._network.factor)
            return result

    def _take_features(self, found: Tensor) -> Tensor:
        """Return features in the number format, with columns for the processor."""
        count, width, rows, columns = found.shape
        features = torch.empty(
            (count, width, rows, -(-columns // _COLUMNS) * _COLUMNS),
            dtype=self._dtype,
            memory_format=torch.channels_last,
        )
        features[..., :columns] = found
        features[..., columns:] = 0
        return features


def fuse(network: torch.nn.Module, dtype: torch.dtype) -> FusedGenerator | None:
    """Return a network with fused layers; None where there is none.

    Parameters
    ----------
    network
        Any network.
    dtype
        Number format of its features.
    """
    if type(network) is not ResidualGenerator or network.head.device.type != "cpu":
        return None
    fused = FusedGenerator(network, dtype)
    try:
        fused(torch.zeros(1, 1, 8, 8))
    except (AttributeError, NotImplementedError, RuntimeError):
        # a torch that was built without oneDNN, or a processor that it does not serve
        return None
    return fused


def _convolve(features: Tensor, weight: Tensor, then: str) -> Tensor:
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        features, weight, None, *_GEOMETRY, then, [], ""
    )
    return result


def _add(total: Tensor, features: Tensor, weight: Tensor, *, in_place: bool) -> Tensor:
    """Return the sum of a total and a convolution of features."""
    # the two operations take total and features in turned order
    if in_place:
        add, images = torch.ops.mkldnn._convolution_pointwise_, (total, features)
    else:
        add, images = torch.ops.mkldnn._convolution_pointwise, (features, total)
    result: Tensor = add.binary(
        *images, weight, None, *_GEOMETRY, "add", None, None, [], None
    )
    return result


def _add_shuffled(base: Tensor, change: Tensor, factor: int) -> None:
    """Add to (N, 1, factor h, factor w) what stands as channels, in place."""
    count, _, height, width = change.shape
    places = base.view(count, height, factor, width, factor)
    parts = change.view(count, factor, factor, height, width)
    # one pass, where a rearranged copy in float32 takes three
    places += parts.permute(0, 3, 1, 4, 2)
