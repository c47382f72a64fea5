"""The structure-informed convex functional: how far a candidate is from the truth.

1 - SSIM and differences of gradient magnitudes are not convex in the candidate x, so
that descent on them can end in structure that is wrong. Every term here is a norm or
a quadratic form of a linear map of x, with weights that depend on the truth z (or
the measurement y) alone, and so is convex in x; so is any sum of them with
non-negative weights:

======== ==================================================== ====================
term     formula, averaged over pixels                        least value
======== ==================================================== ====================
pixel    sqrt((x - z)² + e²) - e                              0 at x = z
ssim     mu(x - z)² / (2 mu(z)² + C1)                         0 at x = z
         + var(x - z) / (2 var(z) + C2)
gradient sqrt(gᵀ T g + e²) - e, g = grad(x - z), on 3 scales  0 at x = z
data     Huber((A x - y) / sigma)                             0 where A x = y
======== ==================================================== ====================

*ssim* is SSIM with its denominators frozen at the truth: at x = z it has the value,
the gradient and the Hessian of 1 - SSIM [1]_. T is made of the structure tensor of
the truth: differences count more on edges and filaments, and most across them.

Convex in the image, not in the weights of a network that makes it. The same
functional trains generators and refines a result (`refinement`), where z is the result
of the network.

References
----------
.. [1] Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image quality assessment: from
   error visibility to structural similarity", IEEE TIP 13, 2004. The quadratic form
   follows D. Brunet, E. Vrscay, Z. Wang, "On the mathematical properties of the
   structural similarity index", IEEE TIP 21, 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.imaging.filters import forward_differences, smooth
from napari_structsr.imaging.forward import ForwardModel

_SIGMA, _RADIUS = 1.5, 5  # the window of 11 x 11 pixels of Wang et al.
_C1, _C2 = 0.01**2, 0.03**2
_ROUNDING = 1e-3  # e: norms are smooth below this difference
_SCALES = 3
_ON_EDGES, _ACROSS = 1.0, 2.0  # what edges weigh beyond flat regions
_HUBER = 3.0  # noise deviations beyond which residuals count linearly


@dataclass(frozen=True)
class StructureWeights:
    """Weights of the terms of the functional; all must be non-negative.

    Parameters
    ----------
    pixel, ssim, gradient, data
        Factors of the terms; 0 leaves a term out.
    """

    pixel: float = 1.0
    ssim: float = 0.01
    gradient: float = 0.5
    data: float = 0.0005

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(
                    f"the weight of the {name} term is {value}; it must be 0 or more, "
                    "or the functional is not convex"
                )


def structure_terms(
    candidate: Tensor,
    truth: Tensor,
    weights: StructureWeights,
    *,
    measured: Tensor | None = None,
    forward_model: ForwardModel | None = None,
    variance: Tensor | None = None,
    border: int = 0,
) -> dict[str, Tensor]:
    """Return the weighted terms by name; their sum is convex in `candidate`.

    Parameters
    ----------
    candidate
        Shape (N, 1, H, W), where the range of intensities is about 0..1.
    truth
        Shape of `candidate`.
    weights
        Terms of weight 0 are left out.
    measured, forward_model, variance, border
        As in `data_term`; needed if the data term has a weight.
    """
    terms = {}
    difference = candidate - truth
    if weights.pixel:
        terms["pixel"] = weights.pixel * pixel_term(difference)
    if weights.ssim:
        terms["ssim"] = weights.ssim * ssim_term(difference, truth)
    if weights.gradient:
        terms["gradient"] = weights.gradient * gradient_term(difference, truth)
    if weights.data:
        if measured is None or forward_model is None or variance is None:
            raise ValueError(
                "the data term needs the measured image, its forward model and the "
                "variance of its noise"
            )
        terms["data"] = weights.data * data_term(
            candidate, measured, forward_model, variance=variance, border=border
        )
    return terms


def pixel_term(difference: Tensor) -> Tensor:
    """Return the mean absolute difference, smooth at 0 (Charbonnier)."""
    return _smooth_sqrt(difference**2).mean()


def ssim_term(difference: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - SSIM to second order at the truth, a convex quadratic everywhere.

    `difference` is candidate minus truth; no gradient flows to the truth.
    """
    with torch.no_grad():
        mean_z, variance_z = _local_moments(truth)
    mean, variance = _local_moments(difference)
    luminance = mean**2 / (2 * mean_z**2 + _C1)
    return (luminance + variance / (2 * variance_z + _C2)).mean()


def gradient_term(difference: Tensor, truth: Tensor) -> Tensor:
    """Return the structure-weighted length of the gradient of the difference.

    Averaged over pixels and over scales, each the 2 x 2 mean of the one before. Scales
    with fewer than 4 pixels along a side are left out. `difference` is candidate minus
    truth; no gradient flows to the truth.
    """
    lengths = []
    for _ in range(_SCALES):
        down, right = forward_differences(difference)
        # the structure tensor of the truth is fixed, so that this stays convex
        with torch.no_grad():
            dd, dr, rr, edges = _weigh_structure(truth)
        across = dd * down * down + 2 * dr * down * right + rr * right * right
        power = down**2 + right**2
        lengths.append(
            _smooth_sqrt((1 + _ON_EDGES * edges) * power + _ACROSS * across).mean()
        )
        difference, truth = F.avg_pool2d(difference, 2), F.avg_pool2d(truth, 2)
        if min(truth.shape[2:]) < 4:
            break
    return torch.stack(lengths).mean()


def data_term(
    candidate: Tensor,
    measured: Tensor,
    forward_model: ForwardModel,
    *,
    variance: Tensor,
    border: int = 0,
) -> Tensor:
    """Return the mismatch of candidate and measurement in units of the noise.

    It is the mean Huber function of the residual, 0.5 for squared residuals of the size
    of the noise.

    Parameters
    ----------
    candidate, measured
        Shape (N, 1, factor h, factor w), and (N, 1, h, w).
    forward_model
        A, by which candidates are measured.
    variance
        Variance of the noise of `measured`, broadcast to its shape.
    border
        Measured pixels to leave out at each side: of a crop, those that were
        blurred with pixels outside of it.
    """
    # Huber, or hot pixels and outliers of the noise would pull with their square
    residual = (forward_model(candidate) - measured) / variance.sqrt()
    height, width = residual.shape[2:]
    residual = residual[..., border : height - border, border : width - border]
    return F.huber_loss(residual, torch.zeros_like(residual), delta=_HUBER)


def _smooth_sqrt(square: Tensor) -> Tensor:
    # the square root, smooth at 0 so that it can be differentiated there
    root: Tensor = (square + _ROUNDING**2).sqrt() - _ROUNDING
    return root


def _local_moments(image: Tensor) -> tuple[Tensor, Tensor]:
    # both in one convolution
    both = smooth(torch.cat([image, image**2]), _SIGMA, radius=_RADIUS)
    mean, power = both.chunk(2)
    return mean, power - mean**2


def _weigh_structure(truth: Tensor) -> list[Tensor]:
    # the structure tensor (dd, dr, rr) and its trace, divided by the trace plus its
    # mean over the image: within 0..1, and the same whatever the contrast
    down, right = forward_differences(truth)
    products = torch.cat([down * down, down * right, right * right])
    dd, dr, rr = smooth(products, _SIGMA, radius=_RADIUS).chunk(3)
    trace = dd + rr
    mean = trace.mean(dim=(1, 2, 3), keepdim=True)
    total = (trace + mean).clamp_min(1e-12)  # 0 in a constant image
    return [part / total for part in (dd, dr, rr, trace)]
