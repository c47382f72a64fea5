"""The optics of a result that is inspected, as its model was told them.

They stand in the record of the result, by channel. What a calibration is told of a
channel follows from them and from the source.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_structsr.core.record import Record
from napari_structsr.imaging.expected_error import describe_image
from napari_structsr.inspection.scaling import Scaling
from napari_structsr.models.conditional_generator import noise_level
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.catalogue import load_model


def find_widths(
    record: Record | None, models: Sequence[SRModel], *, count: int
) -> list[float]:
    """Return the width of the point-spread function in source pixels, by channel.

    Parameters
    ----------
    record
        Of the result.
    models
        That are run again, the one that made the result first.
    count
        Channels.
    """
    if told := find_told(record, count=count):
        return [width for width, _ in told]
    made = record.model if record is not None else {}
    if "psf_sigma" in made:
        return [float(made["psf_sigma"])] * count
    known = [*models, load_model("bicubic")]
    return [known[0].card.psf_sigma] * count


def find_told(record: Record | None, *, count: int) -> tuple[tuple[float, float], ...]:
    """Return width and noise that the model of a result was told, by channel.

    Nothing where it was told nothing, or of other channels than these.
    """
    optics = record.model.get("optics", ()) if record is not None else ()
    if len(optics) != count:
        return ()
    return tuple((float(one["psf_sigma"]), float(one["noise"])) for one in optics)


def tell_optics(
    model: SRModel | None, told: Sequence[tuple[float, float]]
) -> tuple[SRModel, ...]:
    """Return a model told the optics of each channel, see `find_told`."""
    if model is None or not model.conditional:
        return ()
    return tuple(
        model.with_optics(psf_sigma=width, noise=noise) for width, noise in told
    )


def describe_channels(
    record: Record | None,
    widths: Sequence[float],
    scalings: Sequence[Scaling],
    statistics: Sequence[dict[str, float]],
) -> tuple[tuple[float, ...], ...]:
    """Return what a calibration is told of each channel.

    Parameters
    ----------
    record
        Of the result.
    widths, scalings, statistics
        Of each channel, by `find_widths`, `measure_scalings` and `measure_statistics`.
    """
    if told := find_told(record, count=len(widths)):
        noises = [noise for _, noise in told]
    else:  # without a record, what an upscaling would measure
        noises = [noise_level(*one.measured.relative_noise) for one in scalings]
    return tuple(
        describe_image(psf_sigma=width, noise=noise, statistics=values)
        for width, noise, values in zip(widths, noises, statistics, strict=True)
    )
