"""Losses of the generator and of its discriminator.

The convex functional lives in `napari_structsr.imaging.structure_loss`; here it is
joined by what is outside of it: mean squares, content, and the adversarial term.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from napari_structsr.imaging.structure_loss import StructureWeights, structure_terms
from napari_structsr.training.patch_sampler import PatchBatch
from napari_structsr.training.recipe import LossConfig


def generator_terms(
    candidate: Tensor,
    batch: PatchBatch,
    config: LossConfig,
    features: Mapping[str, nn.Module],
) -> dict[str, Tensor]:
    """Return the weighted terms but the adversarial one, by name.

    `features` holds the losses "texture" and "content", as far as they have a weight.
    """
    terms = structure_terms(
        candidate,
        batch.truth,
        StructureWeights(config.pixel, config.ssim, config.gradient, config.data),
        measured=batch.measured,
        forward_model=batch.forward_model,
        variance=batch.variance,
        # Pixels near the border of a patch were measured with light from outside of it.
        border=batch.forward_model.reach if batch.forward_model else 0,
    )
    if config.mse:
        terms["mse"] = config.mse * F.mse_loss(candidate, batch.truth)
    for name, weight in (("texture", config.texture), ("content", config.content)):
        if weight:
            terms[name] = weight * features[name](candidate, batch.truth)
    return terms


def adversarial_loss(fake: Tensor, real: Tensor, *, relativistic: bool) -> Tensor:
    """Return the adversarial loss of the generator, from the logits of both images.

    Parameters
    ----------
    fake, real
        Logits, same shape, high for what is taken for the truth.
    relativistic
        Whether they are compared with each other's mean.
    """
    # Relativistic average (Jolicoeur-Martineau 2018): each image is compared with the
    # mean of the others, so that both sides have gradients.
    if not relativistic:
        return _cross_entropy(fake, 1.0)
    return (
        _cross_entropy(fake - real.mean(), 1.0)
        + _cross_entropy(real - fake.mean(), 0.0)
    ) / 2


def discriminator_loss(fake: Tensor, real: Tensor, *, relativistic: bool) -> Tensor:
    """Return the loss of the discriminator; arguments as in `adversarial_loss`."""
    if not relativistic:
        return (_cross_entropy(fake, 0.0) + _cross_entropy(real, 1.0)) / 2
    # The same with exchanged roles.
    return adversarial_loss(real, fake, relativistic=True)


def _cross_entropy(logits: Tensor, answer: float) -> Tensor:
    aim = logits.new_full((), answer).expand_as(logits)
    return F.binary_cross_entropy_with_logits(logits, aim)
