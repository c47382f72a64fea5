"""Pairs for a calibration, read from images of a user.

A measured image and its truth must show the same field, the truth on pixels that are
a whole number of times finer; gain and offset between the two are fitted. Of each plane
at most a few blocks are read, so that stacks of any size can be given.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import numpy as np
import torch

from napari_structsr.calibration.samples import CalibrationPair
from napari_structsr.core.intensity import Intensity, check_dtype
from napari_structsr.core.types import Float32Array
from napari_structsr.engine.statistics import measure_intensity
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.source import Source

logger = logging.getLogger(__name__)

_BLOCK = 512  # measured pixels along the side of what is read at once
_MOST_BLOCKS = 64  # of one image
_LEAST_CORRELATION = 0.5


def read_pairs(
    source: Source, reference: Source, forward_model: ForwardModel
) -> Iterator[CalibrationPair]:
    """Read blocks of a measured image with those of its truth.

    Parameters
    ----------
    source
        What was measured.
    reference
        The truth of the same planes, ``forward_model.factor`` times finer.
    forward_model
        How the truth is measured, to fit gain and offset; its width is what a
        conditional model is told.

    Raises
    ------
    StructsrError
        If the images do not belong together, or hold nothing to compare.
    """
    _check_pair(source, reference, forward_model.factor)
    intensities = measure_intensity(source)
    axes = source.spec.axes
    rows, columns = (
        [slice(start, min(start + _BLOCK, size)) for start in range(0, size, _BLOCK)]
        for size in axes.plane
    )
    places = list(itertools.product(axes.planes(), rows, columns))
    # spread over planes and places, as neighbouring blocks look alike
    number = min(len(places), _MOST_BLOCKS)
    chosen = np.unique(np.linspace(0, len(places) - 1, number).round().astype(int))
    holes = 0
    for index in chosen:
        plane, *part = places[index]
        intensity = intensities[axes.channel_of(plane)]
        fine = [
            slice(cut.start * forward_model.factor, cut.stop * forward_model.factor)
            for cut in part
        ]
        measured = source.read(plane, *part)[0].astype(np.float32)
        truth = reference.read(plane, *fine)[0].astype(np.float32)
        if not (np.isfinite(measured).all() and np.isfinite(truth).all()):
            holes += 1
            continue
        if intensity.constant or np.ptp(measured) == 0 or np.ptp(truth) == 0:
            continue
        yield CalibrationPair(
            measured,
            fit_truth(measured, truth, forward_model, intensity),
            source=source.spec.name,
            # blocks of one plane are one image
            image=f"{source.origin} {plane}",
            intensity=intensity,
            psf_sigma=forward_model.psf_sigma,
        )
    if holes:
        logger.warning("left out %d blocks with NaN or infinity", holes)


def fit_truth(
    measured: Float32Array,
    truth: Float32Array,
    forward_model: ForwardModel,
    intensity: Intensity,
) -> Float32Array:
    """Bring a truth to the unit of its measurement, by gain and offset.

    Raises
    ------
    TrainingError
        If the two do not show the same.
    """
    image = torch.from_numpy(np.ascontiguousarray(truth, np.float32))[None, None]
    low = float(image.min())
    # to 0..1 first: the forward model works in float32, and offsets of cameras are
    # large
    span = max(float(image.max()) - low, 1e-30)
    measured_again = forward_model((image - low) / span)[0, 0].double().numpy().ravel()
    values = intensity.normalise(measured).astype(np.float64).ravel()
    if np.ptp(measured_again) == 0 or np.ptp(values) == 0:
        raise TrainingError(
            "a source or its reference is constant; give images with structure"
        )
    correlation = float(np.corrcoef(measured_again, values)[0, 1])
    # "not >=" refuses NaN too
    if not correlation >= _LEAST_CORRELATION:
        raise TrainingError(
            f"the reference, measured again, has a correlation of {correlation:.2f} "
            f"with the source, at least {_LEAST_CORRELATION} is expected: they do not "
            "show the same place; check the order of the files, or register them first"
        )
    gain, offset = np.polyfit(measured_again, values, 1)
    fitted = intensity.restore((truth - low) / span * gain + offset)
    return fitted.astype(np.float32)


def _check_pair(source: Source, reference: Source, factor: int) -> None:
    """Refuse images that are no pair."""
    # errors are measured on one channel; colour would count each pixel three times
    for image in (source, reference):
        check_dtype(image.spec.dtype)
        if image.spec.axes.samples > 1:
            raise TrainingError(
                f"{image.spec.name} is in colour; calibrate on one channel, saved as a "
                "grey image"
            )
    mine, theirs = source.spec.axes, reference.spec.axes
    wanted = tuple(factor * size for size in mine.plane)
    if theirs.plane != wanted:
        raise TrainingError(
            f"planes of the source {source.spec.name} have {mine.plane} pixels, those "
            f"of the reference {reference.spec.name} {theirs.plane}; a factor of "
            f"{factor} expects {wanted}: crop or resample the reference to the field "
            "of the source"
        )
    loops = [[(axis.name, axis.size) for axis in axes.loops] for axes in (mine, theirs)]
    if loops[0] != loops[1]:
        raise TrainingError(
            f"the source {source.spec.name} has the axes {mine.names} of shape "
            f"{mine.shape}, the reference {theirs.names} of shape {theirs.shape}; give "
            "the same planes of both"
        )
