"""The methods that are compared, behind one call: a measured plane in, a result out.

A conditional model is told nothing by its name alone: it takes the width of its card,
finer pixels with the same optics, and measures the noise. What it is told stands
behind an @::

    conditional@told     width and noise of the track
    conditional@wide     a width 25% too wide; @narrow: 25% too narrow
    conditional@loud     twice the noise; @quiet: half of it
    conditional@0.8      a width of 0.8 measured pixels
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_structsr.benchmark.classical.richardson_lucy import (
    interpolate_and_deconvolve,
)
from napari_structsr.benchmark.classical.wiener import interpolate_and_filter
from napari_structsr.benchmark.comparison import MethodFacts
from napari_structsr.benchmark.settings import BenchmarkSettings
from napari_structsr.benchmark.tracks import Track
from napari_structsr.core.types import Float32Array
from napari_structsr.engine.events import result_of
from napari_structsr.errors import ModelError
from napari_structsr.imaging.agreement import Agreement
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink
from napari_structsr.models.build import count_operations, count_parameters
from napari_structsr.models.conditional_generator import SIGMA_RANGE, noise_level
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import list_models, load_model

TOLD = {
    "told": (1.0, 1.0),
    "wide": (1.25, 1.0),
    "narrow": (0.75, 1.0),
    "loud": (1.0, 2.0),
    "quiet": (1.0, 0.5),
}
"""What a model can be told, as factors on the true width and noise."""

_CLASSICAL = {
    "richardson-lucy": interpolate_and_deconvolve,
    "wiener": interpolate_and_filter,
}
_INTERPOLATIONS = ("bicubic", "bilinear")


@dataclass(frozen=True, kw_only=True)
class Method(MethodFacts):
    """A method for the conditions of one track.

    Parameters
    ----------
    run
        Maps a measured plane (h, w) to its result (factor h, factor w).
    weights
        What tells its weights from others of that name; empty without weights.
    """

    run: Callable[[Float32Array], Float32Array]
    weights: str = ""


def list_default_methods(factor: int) -> list[str]:
    """Name everything that ships for a factor, with what it is compared with."""
    cards = [*list_models(purpose="use"), *list_models(purpose="comparison")]
    names = [*(_INTERPOLATIONS if factor > 1 else ("bicubic",)), *_CLASSICAL]
    for card in cards:
        if card.factor == factor:
            names.append(card.name)
            if card.psf_range:
                names.append(f"{card.name}@told")
    return list(dict.fromkeys(names))


def load_methods(
    names: Sequence[str],
    track: Track,
    *,
    settings: BenchmarkSettings,
    load: Callable[..., SRModel] = load_model,
) -> list[Method]:
    """Load methods for a track, bicubic first.

    Learned methods appear once for each choice of agreement. Files are named by
    their stem, and by as much of their path as is needed to tell them apart.

    Parameters
    ----------
    names
        Names of models or paths of weights, with what they are told; or
        "richardson-lucy" and "wiener".
    track
        The conditions.
    settings
        Agreement, device and precision.
    load
        `load_model`, or a cache of it, so that tracks share their models.

    Raises
    ------
    ModelError
        If a name is unknown, its model does not offer the factor, or it cannot be
        told the optics, or not this width.
    """
    found: list[Method] = []
    # always there: what the others are compared with
    for name in dict.fromkeys(["bicubic", *names]):
        if name in _CLASSICAL:
            run = functools.partial(_CLASSICAL[name], track=track)
            found.append(Method(name, run=run))
            continue
        if name in _INTERPOLATIONS and track.factor == 1:
            found.append(Method(name, run=lambda image: image))
            continue
        plain, told = _split_told(name)
        try:
            model = load(plain, factor=track.factor)
        except ModelError as error:
            raise ModelError(
                f"{error}; {' and '.join(_CLASSICAL)} are methods too"
            ) from error
        if told and not model.conditional:
            raise ModelError(
                f"{plain} x{track.factor} cannot be told the optics; leave out @{told},"
                " or choose a conditional model"
            )
        label = _shorten_name(plain, {method.name for method in found}, told)
        found += _wrap_model(label, model, settings, _tell(told, track))
    return found


def _split_told(name: str) -> tuple[str, str]:
    """Return the name of a model, and what it is told."""
    plain, at, told = name.rpartition("@")
    # other @ belong to a path
    if at and (told in TOLD or told.replace(".", "", 1).isdigit()):
        return plain, told
    return name, ""


def _tell(told: str, track: Track) -> dict[str, float]:
    """Return the settings of a run that tell a model the optics of a track."""
    if not told:
        return {}
    low, high = SIGMA_RANGE
    if told not in TOLD:
        if not low <= float(told) <= high:
            raise ModelError(
                f"@{told} is no width that can be told; give {low:g} to {high:g} "
                "measured pixels"
            )
        return {"psf_sigma": float(told)}
    width, strength = TOLD[told]
    noise = noise_level(1 / track.photons, track.read_noise**2)
    return {
        "psf_sigma": min(max(track.psf_sigma * width, low), high),
        "noise": noise * strength,
    }


def _shorten_name(name: str, taken: set[str], told: str) -> str:
    """Return a short name that is not taken yet, with what is told."""
    path = Path(name)
    end = f"@{told}" if told else ""
    if not path.suffix and len(path.parts) == 1:
        return name + end  # of a model that ships
    parts = path.absolute().with_suffix("").parts
    for count in range(1, len(parts)):
        label = "/".join(parts[-count:]) + end
        if label not in taken:
            return label
    return name + end


def _wrap_model(
    label: str, model: SRModel, settings: BenchmarkSettings, told: dict[str, float]
) -> list[Method]:
    """Return the methods of a model, one for each choice of agreement."""
    # interpolation has nothing to learn, and no agreement to choose
    count = count_parameters(model.network)
    if not count:
        return [Method(label, run=_make_runner(label, model, settings, "off", told))]
    card, operations = model.card, count_operations(model.network)
    return [
        Method(
            label if agreement == "off" else f"{label}, {agreement}",
            learned=True,
            parameters=count,
            operations=operations,
            seen_megapixels=card.seen_megapixels,
            training=card.training,
            data=tuple(source.name for source in card.data),
            run=_make_runner(label, model, settings, agreement, told),
            weights=card.sha256[:12] if card.sha256 else "",
        )
        for agreement in settings.agreement
    ]


def _make_runner(
    label: str,
    model: SRModel,
    settings: BenchmarkSettings,
    agreement: Agreement,
    told: dict[str, float],
) -> Callable[[Float32Array], Float32Array]:
    # through the engine, as users run it: tiles, intensities and precision count
    chosen = UpscaleSettings(
        agreement=agreement,
        device=settings.device,
        precision=settings.precision,
        **told,  # type: ignore[arg-type]
    )

    def run(image: Float32Array) -> Float32Array:
        events = iter_upscale(open_source(image), model, MemorySink(), settings=chosen)
        result: Float32Array = result_of(events)
        if not np.isfinite(result).all():
            raise ModelError(
                f"{label} made values that are no numbers; leave it out of --methods"
            )
        return result

    return run
