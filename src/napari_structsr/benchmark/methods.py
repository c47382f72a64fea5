"""The methods that are compared, behind one call: a measured plane in, a result out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_structsr.benchmark.comparison import MethodFacts
from napari_structsr.benchmark.richardson_lucy import interpolate_and_deconvolve
from napari_structsr.benchmark.settings import BenchmarkSettings
from napari_structsr.benchmark.tracks import Track
from napari_structsr.core.types import Float32Array
from napari_structsr.engine.events import result_of
from napari_structsr.errors import ModelError
from napari_structsr.imaging.agreement import Agreement
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink
from napari_structsr.models.build import count_operations, count_parameters
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import upscale
from napari_structsr.zoo.catalogue import list_models, load_model

_DECONVOLUTION = "richardson-lucy"
_FIRST = ("bicubic", "bilinear", _DECONVOLUTION)


@dataclass(frozen=True, kw_only=True)
class Method(MethodFacts):
    """A method for the conditions of one track.

    Parameters
    ----------
    run
        Maps a measured plane (h, w) to its result (factor h, factor w).
    """

    run: Callable[[Float32Array], Float32Array]


def list_default_methods(factor: int) -> list[str]:
    """Name everything that ships for a factor, with what it is compared with."""
    cards = [*list_models(purpose="use"), *list_models(purpose="comparison")]
    names = [card.name for card in cards if card.factor == factor]
    return list(dict.fromkeys([*_FIRST, *names]))


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
        Names of models, paths of weights, or "richardson-lucy".
    track
        The conditions.
    settings
        Agreement, device and precision.
    load
        `load_model`, or a cache of it, so that tracks share their models.

    Raises
    ------
    ModelError
        If a name is unknown or its model does not offer the factor.
    """
    found: list[Method] = []
    # always there: what the others are compared with
    for name in dict.fromkeys(["bicubic", *names]):
        if name == _DECONVOLUTION:
            run = functools.partial(interpolate_and_deconvolve, track=track)
            found.append(Method(name, run=run))
            continue
        try:
            model = load(name, factor=track.factor)
        except ModelError as error:
            raise ModelError(f"{error}; {_DECONVOLUTION} is a method too") from error
        label = _shorten_name(name, {method.name for method in found})
        found += _wrap_model(label, model, settings)
    return found


def _shorten_name(name: str, taken: set[str]) -> str:
    """Return a short name that is not taken yet."""
    path = Path(name)
    if not path.suffix and len(path.parts) == 1:
        return name  # of a model that ships
    parts = path.absolute().with_suffix("").parts
    for count in range(1, len(parts)):
        label = "/".join(parts[-count:])
        if label not in taken:
            return label
    return name


def _wrap_model(
    label: str, model: SRModel, settings: BenchmarkSettings
) -> list[Method]:
    """Return the methods of a model, one for each choice of agreement."""
    # interpolation has nothing to learn, and no agreement to choose
    count = count_parameters(model.network)
    if not count:
        return [Method(label, run=_make_runner(label, model, settings, "off"))]
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
            run=_make_runner(label, model, settings, agreement),
        )
        for agreement in settings.agreement
    ]


def _make_runner(
    label: str, model: SRModel, settings: BenchmarkSettings, agreement: Agreement
) -> Callable[[Float32Array], Float32Array]:
    # through the engine, as users run it: tiles, intensities and precision count
    chosen = UpscaleSettings(
        agreement=agreement, device=settings.device, precision=settings.precision
    )

    def run(image: Float32Array) -> Float32Array:
        events = upscale(open_source(image), model, MemorySink(), settings=chosen)
        result: Float32Array = result_of(events)
        if not np.isfinite(result).all():
            raise ModelError(
                f"{label} made values that are no numbers; leave it out of --methods"
            )
        return result

    return run
