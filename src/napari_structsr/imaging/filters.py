"""Filters of torch images of shape (N, C, H, W): sums over the neighbours of a pixel.

Images continue beyond their border as their mirror image, in one of the two ways that
numpy names: "reflect" shows the border pixel once, "symmetric" twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.core.types import Float64Array

FILL_RADIUS = 4
"""Pixels to each side from which `fill_missing` fills a hole."""

_FILL_SIGMA = 1.0
# weights, and pixels of a plane, from which products are faster than sums on a CPU
_LONG, _LARGE = 7, 1 << 16
_ROWS = 32  # of the result, that one product gives


def separable_filter(image: Tensor, weights: Sequence[float]) -> Tensor:
    """Correlate with an odd number of weights along both axes, the border reflected."""
    pad = (len(weights) // 2,) * 2
    return correlate_separable(reflect_pad(image, pad, pad), weights, weights)


def correlate_separable(
    image: Tensor, down: Sequence[float], across: Sequence[float], *, stride: int = 1
) -> Tensor:
    """Correlate with separable weights where they fit into the image.

    From the shape (..., H, W) to (..., H - len(down) + 1, W - len(across) + 1), of
    which each `stride`-th row and column is given.
    """
    rows = correlate_axis(image, -2, down, stride=stride)
    return correlate_axis(rows, -1, across, stride=stride)


def correlate_axis(
    image: Tensor, dim: int, weights: Sequence[float], *, stride: int = 1
) -> Tensor:
    """Correlate along one axis, -2 or -1, where the weights fit, at each `stride`."""
    size = image.shape[dim] - len(weights) + 1
    rows, columns = image.shape[-2:]
    if (
        stride == 1
        and len(weights) >= _LONG
        and rows * columns >= _LARGE
        and image.device.type == "cpu"
        and not image.requires_grad
    ):
        return _correlate_by_products(image, dim, weights)
    each = slice(None, None, stride)
    taken = (..., each, slice(None)) if dim == -2 else (..., each)
    # Adding shifted images up is ten times as fast on a CPU as conv2d of one channel.
    (start, weight), *rest = ((k, w) for k, w in enumerate(weights) if w)
    total = image.narrow(dim, start, size)[taken] * weight
    for start, weight in rest:
        total.add_(image.narrow(dim, start, size)[taken], alpha=weight)
    return total


def _correlate_by_products(image: Tensor, dim: int, weights: Sequence[float]) -> Tensor:
    """Correlate a few rows, or columns, at a time by a matrix of the weights.

    Most of it is zeros, and a product with them is two to five times as fast still as
    sums, each of which goes through memory. The sums are the same, in the same order.
    """
    size, reach = image.shape[dim] - len(weights) + 1, len(weights) - 1
    shape = list(image.shape)
    shape[dim] = size
    result = image.new_empty(shape)
    band = image.new_zeros(_ROWS + reach, _ROWS)
    for k, weight in enumerate(weights):
        band.diagonal(-k)[:_ROWS] = weight
    planes = (each.reshape(-1, *each.shape[-2:]) for each in (image, result))
    for plane, found in zip(*planes, strict=True):
        for start in range(0, size, _ROWS):
            count = min(_ROWS, size - start)
            part = plane.narrow(dim, start, count + reach)
            matrix = band[: count + reach, :count]
            factors = (matrix.T, part) if dim == -2 else (part, matrix)
            torch.mm(*factors, out=found.narrow(dim, start, count))
    return result


def reflect_pad(
    image: Tensor, rows: tuple[int, int], columns: tuple[int, int]
) -> Tensor:
    """Continue an image beyond its border as ``numpy.pad(mode="reflect")`` does.

    `rows` and `columns` are added before and after the last two axes; they may exceed
    the size of the image.
    """
    height, width = image.shape[-2:]
    # torch reflects by less than the size alone, tiles at a border may need more
    if max(rows) < height and max(columns) < width:
        return F.pad(image, (*columns, *rows), mode="reflect")
    for dim, (before, after) in ((-2, rows), (-1, columns)):
        size = image.shape[dim]
        period = max(2 * (size - 1), 1)  # a single pixel is repeated
        index = torch.arange(-before, size + after, device=image.device) % period
        index = torch.where(index < size, index, period - index)
        image = image.index_select(dim, index)
    return image


def symmetric_pad(image: Tensor, dim: int, pad: int) -> Tensor:
    """Continue one axis by `pad` on both sides as ``numpy.pad(mode="symmetric")``."""
    size = image.shape[dim]
    if dim == -1 and pad <= size:
        # to copy parts of rows takes a tenth of the time of taking each pixel
        before, after = image[..., :pad], image[..., size - pad :]
        return torch.cat([before.flip(-1), image, after.flip(-1)], -1)
    index = torch.arange(-pad, size + pad, device=image.device) % (2 * size)
    return image.index_select(
        dim, torch.where(index < size, index, 2 * size - 1 - index)
    )


def gaussian_kernel(sigma: float, radius: int | None = None) -> Float64Array:
    """Return a sampled Gaussian of the sum 1 and the length ``2 * radius + 1``.

    `radius` is ``ceil(4 * sigma)`` by default. A width of 0 gives a single 1.
    """
    if sigma == 0:
        return np.ones(1)
    radius = math.ceil(4 * sigma) if radius is None else radius
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum())


def convolve_axis(
    image: Tensor,
    dim: int,
    kernel: Float64Array,
    *,
    stride: int,
    transposed: bool = False,
) -> Tensor:
    """Correlate along one axis, -2 or -1, where the kernel fits, at each `stride`.

    The transpose of that spreads each pixel by the kernel, `stride` pixels apart.
    """
    if stride == 1 and not transposed and image.device.type == "cpu":
        found: Tensor = _AxisCorrelation.apply(image, dim, kernel.tolist())
        return found
    if image.device.type == "cpu" and not image.requires_grad:
        if transposed:
            return _spread_axis(image, dim, kernel.tolist(), stride)
        return correlate_axis(image, dim, kernel.tolist(), stride=stride)
    weight = torch.as_tensor(kernel, dtype=image.dtype, device=image.device)
    down = dim == -2
    weight = weight.reshape(1, 1, -1, 1) if down else weight.reshape(1, 1, 1, -1)
    n, c, h, w = image.shape
    apply = F.conv_transpose2d if transposed else F.conv2d
    # channels are taken as images, since each is blurred by itself
    out = apply(
        image.reshape(n * c, 1, h, w),
        weight,
        stride=(stride, 1) if down else (1, stride),
    )
    return out.reshape(n, c, *out.shape[-2:])


def _spread_axis(
    image: Tensor, dim: int, weights: Sequence[float], stride: int
) -> Tensor:
    length = (image.shape[dim] - 1) * stride + 1
    shape = list(image.shape)
    shape[dim] = length + len(weights) - 1
    result = image.new_zeros(shape)
    lines, spread = image.transpose(0, dim), result.transpose(0, dim)
    for k, weight in enumerate(weights):
        spread[k : k + length : stride].add_(lines, alpha=weight)
    return result


class _AxisCorrelation(torch.autograd.Function):
    """`correlate_axis` with gradients; those of conv2d take three times as long."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, dim: int, weights: list[float]) -> Tensor:
        ctx.dim, ctx.weights = dim, weights
        return correlate_axis(image, dim, weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # the adjoint: each pixel spreads to all that it was summed from
        around = (len(ctx.weights) - 1,) * 2
        wide = F.pad(gradient, (0, 0, *around) if ctx.dim == -2 else around)
        return correlate_axis(wide, ctx.dim, ctx.weights[::-1]), None, None


def smooth(image: Tensor, sigma: float, *, radius: int | None = None) -> Tensor:
    """Blur by a Gaussian of `sigma` pixels, the border continued symmetrically.

    It reaches `radius` pixels, by default ``ceil(4 * sigma)``.
    """
    return convolve_plane(image, gaussian_kernel(sigma, radius))


def convolve_plane(image: Tensor, kernel: Float64Array) -> Tensor:
    """Correlate with an odd kernel along both axes, the border as in `smooth`."""
    for dim in (-2, -1):
        image = symmetric_pad(image, dim, len(kernel) // 2)
        image = convolve_axis(image, dim, kernel, stride=1)
    return image


def fill_missing(values: Tensor, known: Tensor) -> Tensor:
    """Replace unknown pixels by a Gaussian-weighted mean of the known ones around.

    Values are finite everywhere, and stay where nothing is known within reach.
    """
    # a normalised convolution: known pixels alone are averaged
    weight = smooth(known.float(), _FILL_SIGMA)
    mean = smooth(values * known, _FILL_SIGMA) / weight.clamp_min(1e-6)
    return torch.where(known | (weight < 1e-6), values, mean)


def forward_differences(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the differences to the next pixel down the rows and across the columns.

    Both have the shape of `image` and are 0 at the last pixel. Central differences
    would be blind to the finest detail.
    """
    down = image.diff(dim=-2, append=image[..., -1:, :])
    return down, image.diff(dim=-1, append=image[..., -1:])
