"""Pairs from a user's own images: what was measured, and what was truly there.

A region of a coarse and of a fine image becomes a pair in one unit on matched grids::

    planes, pixel sizes, overlap      pairs.geometry
    NaN, saturation, flat, swapped    pairs.checks
    place, blur, gain, offset         imaging.psf_fit
    read the truth once more, where it was found

Where there is no coarse image, `pairs.simulate` makes one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Array, Float32Array
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.psf_fit import fit_forward_model, upsample
from napari_structsr.imaging.registration import IDENTITY, MAX_SIDE, Registration
from napari_structsr.io.resampled_view import ResampledView
from napari_structsr.io.source import Source
from napari_structsr.io.views import BinnedView, LuminanceView
from napari_structsr.pairs.checks import (
    check_common,
    check_detail,
    check_pixels,
    choose_plane,
    explain_failed_registration,
    hash_content,
)
from napari_structsr.pairs.geometry import (
    Grid,
    Mappings,
    Region,
    find_common_part,
    find_known_part,
    match_grids,
    match_plane,
)
from napari_structsr.pairs.image_pair import (
    ImagePair,
    Place,
    measure_channel,
)

_NOTABLE_PERCENT = 0.03  # of scale

Area = tuple[slice, slice]


def field_pair(
    low: Source,
    high: Source,
    *,
    region: Region | None = None,
    plane: tuple[int, ...] | None = None,
    factor: int | None = None,
    bins: int = 1,
    register: bool = True,
    name: str | None = None,
) -> ImagePair:
    """Make a pair of a coarse and a fine image of the same place.

    Parameters
    ----------
    low, high
        The measured and the true image; any pixel sizes, places and types. Two colour
        images are compared by luminance.
    region
        First and last + 1 row, first and last + 1 column in `low`; by default all that
        both images show.
    plane
        Index of the plane along the looped axes of `low`; the first by default.
    factor
        1, 2 or 4; by default the one nearest to the pixel sizes.
    bins
        Average so many pixels of `low` along y and x before anything else; regions
        count the larger pixels. So two images of one pixel size teach to upscale.
    register
        Lay the images on each other by their content; otherwise their coordinates are
        trusted.
    name
        For tables; by default that of `low`.

    Raises
    ------
    TrainingError
        If the two are no pair to learn from, with what to do.
    PixelError
        If an image holds no number at all.
    """
    if bins > 1:
        low = BinnedView(low, bins)
    plane = choose_plane(low, plane)
    high_plane = match_plane(low, high, plane)
    # by content, as one image may be open under two names
    keys = hash_content(low), hash_content(high)
    if keys[0] == keys[1]:
        raise TrainingError(
            "the low- and the high-resolution image are the same; choose the coarse "
            "image as low and the fine one as high"
        )
    grid = match_grids(low, high, factor)
    notes = list(grid.notes)
    if bins > 1:
        notes.append(f"the low-resolution image was binned by {bins}")
    name = name or low.spec.name
    if low.spec.axes.samples > 1:
        notes.append("both images are in colour; their luminance is learnt from")
        low, high = LuminanceView(low), LuminanceView(high)
    area, cut = find_common_part(grid, low, high, region)
    notes += [cut] if cut else []
    # over the whole images, as at inference: a dark region stays dark
    unit = measure_channel(low, plane)
    true = _TrueImage(grid, high, high_plane, measure_channel(high, high_plane))
    measured = low.read(plane, *area)[0]
    for pixels, which, own in (
        (measured, "low", unit),
        (true.read_stored(area), "high", true.intensity),
    ):
        note = check_pixels(pixels, which, own)
        notes += [note] if note else []
    values = unit.normalise(measured)
    truth = true.read(area, IDENTITY)
    registration, around = IDENTITY, None
    if register:
        registration = fit_forward_model(truth, values, factor=grid.factor).registration
        if registration.refused:
            around = _register_surroundings(area, low, plane, unit, true)
        if around is not None:
            registration = around
            notes.append("its place was found by what lies around the region")
        if registration.refused:
            large = upsample(values, grid.factor)
            raise explain_failed_registration(
                truth, large, grid.factor, registration.refused
            )
        notes += _describe_registration(registration)
        # read again from the source, so that nothing is interpolated twice
        truth = true.read(area, registration)
        mappings = true.map_pixels(area, registration)
        known = find_known_part(mappings, area, high, grid.factor)
        fine = tuple(
            slice(part.start * grid.factor, part.stop * grid.factor) for part in known
        )
        # contiguous: views would keep what was cut off in memory
        values = np.ascontiguousarray(values[known])
        truth = np.ascontiguousarray(truth[fine])
        rows, columns = (
            slice(whole.start + part.start, whole.start + part.stop)
            for whole, part in zip(area, known, strict=True)
        )
        area = rows, columns
    # once more where it lies: gain and blur of the pixels that are kept
    fit = fit_forward_model(truth, values, factor=grid.factor, move=False)
    height, width = values.shape
    blocks = truth.reshape(height, grid.factor, width, grid.factor)
    binned = np.asarray(blocks.mean(axis=(1, 3)))
    # where the region itself was registered, that it was is the proof
    if not register or around is not None:
        check_common(values, binned)
    check_detail(values, binned)
    if fit.gain < 0:
        notes.append("bright and dark are exchanged between the images; this is undone")
    return ImagePair(
        name=name,
        measured=values,
        truth=(fit.gain * truth + fit.offset).astype(np.float32),
        factor=grid.factor,
        where=Place.of(keys, low.spec.axes, plane, area),
        psf_sigma=fit.psf_sigma,
        noise=unit.relative_noise,
        registration=registration,
        gain=fit.gain,
        offset=fit.offset,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _TrueImage:
    """The true image on the fine grid of a region."""

    grid: Grid
    source: Source
    plane: tuple[int, ...]
    intensity: Intensity

    def map_pixels(self, area: Area, registration: Registration) -> Mappings:
        """Return where the fine pixels of a region lie in the true image."""
        first = area[0].start, area[1].start
        return self.grid.map_fine_pixels(
            first,
            _count_pixels(area),
            shift=registration.shift,
            scale=registration.scale,
        )

    def read(self, area: Area, registration: Registration) -> Float32Array:
        """Return the pixels of a region, normalised, moved by a registration."""
        # one resampling to the fine grid, whatever the shift: two would blur twice
        height, width = (size * self.grid.factor for size in _count_pixels(area))
        axes = Axes((*self.source.spec.axes.loops, Axis("y", height), Axis("x", width)))
        found = ResampledView(self.source, axes, *self.map_pixels(area, registration))
        pixels = found.read(self.plane, slice(0, height), slice(0, width))[0]
        # after resampling, as a spline spreads one NaN over its neighbours
        if not np.isfinite(pixels).all():
            raise TrainingError(
                "pixels around the region are NaN or infinite in the high-resolution "
                "image; draw the region where every pixel holds a number"
            )
        return self.intensity.normalise(pixels)

    def read_stored(self, area: Area) -> Array:
        """Return the pixels under a region as they are stored."""
        # stored pixels show saturation at their top value; resampled ones do not
        parts = []
        for mapping, part, size in zip(
            self.grid.mappings, area, self.source.spec.axes.plane, strict=True
        ):
            first = max(0, math.floor(mapping.at(part.start - 0.5) + 0.5))
            last = min(size, math.ceil(mapping.at(part.stop - 0.5) + 0.5))
            parts.append(slice(first, last))
        found: Array = self.source.read(self.plane, *parts)[0]
        return found


def _register_surroundings(
    area: Area, low: Source, plane: tuple[int, ...], unit: Intensity, true: _TrueImage
) -> Registration | None:
    """Register a wider part, where a region is too small or lies too far off."""
    grid = true.grid
    common, _ = find_common_part(grid, low, true.source, None)
    parts = []
    for part, whole in zip(area, common, strict=True):
        size = part.stop - part.start
        # more than `MAX_SIDE` is not looked at by a registration
        size = min(whole.stop - whole.start, max(size, MAX_SIDE // grid.factor))
        start = (part.start + part.stop - size) // 2
        start = min(max(start, whole.start), whole.stop - size)
        parts.append(slice(start, start + size))
    wide = parts[0], parts[1]
    measured = low.read(plane, *wide)[0]
    if wide == area or not np.isfinite(measured).all():
        return None
    try:
        truth = true.read(wide, IDENTITY)
    except TrainingError:  # pixels without a number, which the region need not hold
        return None
    values = unit.normalise(measured)
    found = fit_forward_model(truth, values, factor=grid.factor).registration
    if found.refused:
        return None
    # the scale turns about the middle of what was registered, so that another middle
    # needs another shift
    y, x = (
        by
        + (found.scale - 1)
        * grid.factor
        * ((part.start + part.stop) - (whole.start + whole.stop))
        / 2
        for by, part, whole in zip(found.shift, area, wide, strict=True)
    )
    return replace(found, shift=(y, x))


def _count_pixels(area: Area) -> tuple[int, int]:
    rows, columns = (part.stop - part.start for part in area)
    return rows, columns


def _describe_registration(registration: Registration) -> list[str]:
    down, right = registration.shift
    found = [
        f"the true image was moved by {down:+.2f}, {right:+.2f} of its pixels (y, x), "
        f"good to {registration.uncertainty:.1g} pixels"
    ]
    percent = 100 * (registration.scale - 1)
    if abs(percent) > _NOTABLE_PERCENT:
        found.append(
            f"its scale was corrected by {percent:+.2f}%; the pixel sizes of the "
            "images disagree by as much"
        )
    return found
