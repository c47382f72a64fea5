"""What the card of a trained model says: aim, data, parents, and what it has seen."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import PurePath

from napari_structsr.models.card import DataSource, ModelCard
from napari_structsr.models.conditional_generator import DEFAULT_SIGMA, NOISE_RANGE
from napari_structsr.training.recipe import LossConfig, Recipe


def make_card(
    recipe: Recipe,
    *,
    sources: Iterable[str],
    parent: ModelCard | None,
    megapixels: float,
    how: str,
) -> ModelCard:
    """Return the card of a model that a recipe trains.

    Parameters
    ----------
    recipe
        What was trained.
    sources
        Names of the folders of images.
    parent
        Card of the model whose weights it began with.
    megapixels
        Measured pixels seen so far, in millions, without those of the parent.
    how
        Steps, time and device, in words.
    """
    known = tomllib.loads(
        (resources.files("napari_structsr") / "training" / "sources.toml").read_text(
            encoding="utf-8"
        )
    )
    # Folders of the user are named, their licences are not guessed.
    unknown = {"licence": "not stated", "attribution": "not stated"}
    # What the parent has seen was seen by its weights as well.
    before = parent.seen_megapixels or 0.0 if parent else 0.0
    data = [DataSource(name=name, **known.get(name, unknown)) for name in sources]
    named = {source.name for source in data}
    # Cards travel, folders do not.
    start = PurePath(recipe.start).name if recipe.start else None
    # Data of the parent is owed a licence and a name as well, once each.
    data += [
        entry for entry in (parent.data if parent else []) if entry.name not in named
    ]
    return ModelCard(
        name=recipe.name,
        description=recipe.description or f"Trained by the recipe {recipe.name}.",
        architecture=recipe.network.architecture,
        options=recipe.network.options,
        factor=recipe.factor,
        psf_sigma=DEFAULT_SIGMA
        if recipe.optics
        else round(sum(recipe.data.psf_sigma) / 2, 6),
        psf_range=recipe.optics.psf_sigma if recipe.optics and recipe.told else None,
        noise_range=NOISE_RANGE if recipe.told else None,
        intensity_equivariant=recipe.network.architecture
        in ("residual-generator", "conditional-generator"),
        training=f"{_describe_aim(recipe)}; {_describe_data(recipe)}; {how}",
        data=data,
        recipe=recipe.model_copy(update={"start": start}).model_dump_json(
            exclude_defaults=True
        ),
        seed=recipe.seed,
        purpose=recipe.purpose,
        blend_with=recipe.blend_with,
        seen_megapixels=round(before + megapixels, 1),
        parents=[parent.sha256] if parent and parent.sha256 else [],
    )


def _describe_aim(recipe: Recipe) -> str:
    """Return the loss of the generator, in words."""
    aim = _write_sum(recipe.loss)
    adversary = recipe.adversary
    if not adversary:
        return f"loss {aim}"
    kind = (
        "conditional"
        if adversary.kind == "patch" and adversary.conditional
        else "unconditional"
    )
    later = _write_sum(adversary.loss or recipe.loss)
    return (
        f"loss {aim}; from {adversary.start:.0%} on {later} + {adversary.weight:g} "
        f"adversarial ({kind} {adversary.kind} discriminator)"
    )


def _write_sum(loss: LossConfig) -> str:
    return " + ".join(
        f"{value:g} {name}" for name, value in loss.model_dump().items() if value
    )


def _describe_data(recipe: Recipe) -> str:
    """Return how images were measured, in words."""
    data, optics = recipe.data, recipe.optics
    if optics:
        told = "told " if recipe.told else ""
        return (
            f"{told}point-spread sigma of {optics.psf_sigma[0]:g} to "
            f"{optics.psf_sigma[1]:g} measured pixels ({optics.airy:.0%} Airy, "
            f"{optics.elliptic:.0%} elliptic), {optics.photons[0]:g} to "
            f"{optics.photons[1]:g} photons, read noise {optics.read_noise[0]:.2%} to "
            f"{optics.read_noise[1]:.1%} of the range"
        )
    return (
        f"point-spread sigma {data.psf_sigma[0]:g} to {data.psf_sigma[1]:g} measured "
        f"pixels, {data.photons[0]:g} to {data.photons[1]:g} photons, read noise "
        f"{data.read_noise[0]:.1%} to {data.read_noise[1]:.1%} of the range"
    )
