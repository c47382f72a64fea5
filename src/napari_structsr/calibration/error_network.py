"""The fit of the small network that predicts absolute errors from features of pixels.

Its two outputs are the scale of a Laplace distribution, whose likelihood is best at the
mean absolute error, and the bound that nine of ten errors stay below, by the pinball
loss of logarithms. Both losses ask for relative accuracy, so that dim images count as
much as bright ones.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_structsr.core.llvm_clash import keep_triton_out
from napari_structsr.core.types import Float32Array
from napari_structsr.imaging.expected_error import ErrorPredictor

_WIDTHS = (16, 16)
_STEPS = 3000  # of Adam
_BATCH = 4096
_RATE = 3e-3
_DECAY = 1e-3
_LEAST = 2e-4  # of the range, below which errors are not told apart
_BOUND = 0.9


def fit_predictor(
    features: Float32Array,
    errors: Float32Array,
    weights: npt.NDArray[np.floating],
    *,
    seed: int = 0,
    steps: int = _STEPS,
) -> ErrorPredictor:
    """Fit a network to absolute errors.

    Parameters
    ----------
    features
        Shape (pixels, features).
    errors
        Absolute, shape (pixels,).
    weights
        Of each pixel, shape (pixels,), of mean 1.
    seed
        Of the first weights and of the batches; the same seed gives the same network on
        the same machine.
    steps
        Of Adam.
    """
    generator = torch.Generator().manual_seed(seed)
    # plus the smallest error that counts, as logarithms of 0 would rule the loss
    x, e = torch.from_numpy(features), torch.from_numpy(errors) + _LEAST
    w = torch.from_numpy(weights).float()
    # a feature may be constant, such as the noise of one camera
    means, deviations = x.mean(0), x.std(0) + 1e-6
    sizes = (features.shape[1], *_WIDTHS, 2)
    layers = [
        (_draw_weights(inputs, outputs, generator), torch.zeros(outputs))
        for inputs, outputs in itertools.pairwise(sizes)
    ]
    # start at the mean error, and at the bound that a Laplace distribution would have
    middle = float(((w * e).sum() / w.sum()).log())
    layers[-1][1].copy_(torch.tensor([middle, middle + 0.8]))
    parameters = [nn.Parameter(part) for layer in layers for part in layer]
    predictor = ErrorPredictor(
        means, deviations, tuple(parameters[::2]), tuple(parameters[1::2])
    )
    keep_triton_out()
    optimiser = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    for _ in range(steps):
        # with replacement: images differ far more than draws of their pixels do
        drawn = torch.randint(0, len(x), (_BATCH,), generator=generator)
        mean, bound = predictor(x[drawn]).unbind(-1)
        likelihood = mean + e[drawn] * torch.exp(-mean)
        # of logarithms, so that relative misses count in dim regions as in bright ones
        missing = e[drawn].log() - bound
        pinball = torch.maximum(_BOUND * missing, (_BOUND - 1) * missing)
        loss = (w[drawn] * (likelihood + pinball)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    # from now on it is read alone: no gradient is kept
    for part in parameters:
        part.requires_grad_(False)
    return predictor


def _draw_weights(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    # as torch draws those of a linear layer, but from a generator of our own
    limit = 1 / math.sqrt(inputs)
    return (torch.rand(outputs, inputs, generator=generator) * 2 - 1) * limit
