"""Refinement of a result by the convex functional."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.structure_loss import StructureWeights, structure_terms


@dataclass(frozen=True)
class Refinement:
    """A refined image, in the shape of what was refined.

    `objective` is the value of the functional before, and after each iteration; it
    never rises.
    """

    image: Tensor
    objective: tuple[float, ...]


def refine(
    image: Tensor,
    measured: Tensor,
    forward_model: ForwardModel,
    *,
    variance: Tensor,
    weights: StructureWeights | None = None,
    iterations: int = 20,
) -> Refinement:
    """Minimise the convex functional in which the given image stands for the truth.

    This is a proximal step on the data term, whose distance is the structural one. It
    has one minimiser; gradient descent with backtracking never raises the objective.

    Parameters
    ----------
    image
        Result of a network, shape (N, 1, factor h, factor w), range 0..1.
    measured
        Shape (N, 1, h, w), the same unit.
    forward_model
        How `image` is measured.
    variance
        Variance of the noise of `measured`, broadcast to its shape; positive.
    weights
        Weights of the terms; by default the data term weighs more than in training.
    iterations
        Largest number of steps; fewer are made when none lowers the objective.
    """
    weights = weights or StructureWeights(data=0.05)
    anchor = image.detach()

    def objective(candidate: Tensor) -> Tensor:
        terms = structure_terms(
            candidate,
            anchor,
            weights,
            measured=measured,
            forward_model=forward_model,
            variance=variance,
        )
        return torch.stack(list(terms.values())).sum()

    best = anchor
    slope, value = _evaluate(objective, best)
    values = [float(value)]
    step = float(image.numel())  # terms are means over pixels
    for _ in range(iterations):
        power = float((slope**2).sum())
        # Armijo's condition: a quarter of the decrease that the gradient promises
        while step * power > 1e-9 * abs(values[-1]):
            with torch.no_grad():
                trial = best - step * slope
                lower = float(objective(trial)) <= values[-1] - step * power / 4
            if lower:
                break
            step /= 2
        else:  # no step lowers the objective by more than rounding
            break
        new_slope, value = _evaluate(objective, trial)
        change, bend = trial - best, new_slope - slope
        curvature = float((change * bend).sum())
        # the step that would be right for a quadratic (Barzilai and Borwein 1988)
        step = float((change**2).sum()) / curvature if curvature > 0 else 2 * step
        best, slope = trial, new_slope
        values.append(float(value))
    return Refinement(best, tuple(values))


def _evaluate(
    objective: Callable[[Tensor], Tensor], image: Tensor
) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        variable = image.detach().requires_grad_()
        value = objective(variable)
        (slope,) = torch.autograd.grad(value, variable)
    return slope, value.detach()
