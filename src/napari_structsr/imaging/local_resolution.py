"""Local resolution: Fourier ring correlation in small windows.

The plane is divided into blocks of `step` x `step` pixels, counted from its origin, and
each has a window of `window` x `window` pixels centred on it::

    |<------------ window 64 ------------>|
    |             |<-step 16->|           |
    |   24 pixels |   block   | 24 pixels |

A window is brought to the mean 0, tapered by a Hann window, and transformed. Rings are
one cycle per window wide; the mean has none. Two things keep chance out:

* the correlation of each ring is averaged with that of its neighbours, weighted 1, 2, 1
  and by the number of frequencies in a ring;
* the mean correlation of all frequencies up to the crossing must exceed 2.5 standard
  deviations of that of noise; otherwise nothing is resolved. With windows of 64 pixels
  this accepts crossings up to a period of about 16 pixels, and three windows of noise
  in a thousand.

Since windows are small and tapering widens rings, periods come out up to a tenth short
of an abrupt end of what is common.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from napari_structsr.imaging.filters import reflect_pad
from napari_structsr.imaging.row_chunks import compute_side_by_side
from napari_structsr.imaging.spectrum import count_conjugates, radial_frequency

_WINDOW, _STEP = 64, 16
_THRESHOLD = 1 / 7
_SMOOTH = (1.0, 2.0, 1.0)
_SIGMAS = 2.5  # standard deviations of the mean correlation of noise


def resolution_map(
    result: Tensor,
    truth: Tensor,
    *,
    window: int = _WINDOW,
    step: int = _STEP,
    origin: tuple[int, int] = (0, 0),
) -> Tensor:
    """Return the local resolution of the result, as far as the truth confirms it.

    It is the period at which the Fourier ring correlation of the two first falls below
    1/7, found between rings on a straight line.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W), any unit.
    window
        Side of a window in pixels, even and at least 16.
    step
        Side of a block in pixels, even, at most `window`.
    origin
        Row and column of the first pixel in its plane, so that a tile has the blocks
        of its plane. A tile must reach `resolution_radius` beyond what is kept of it,
        or to the border of the plane.

    Returns
    -------
    Tensor
        Period in pixels, shape (N, C, H, W), constant in each block: 2, which is the
        finest that pixels can show, to ``window / 2``, where nothing is resolved or
        one of the images is flat.

    References
    ----------
    R. Nieuwenhuizen et al., "Measuring image resolution in optical nanoscopy", Nature
    Methods 10, 2013; locally as in the SQUIRREL of S. Culley et al., Nature Methods
    15, 2018.
    """
    if window % 2 or step % 2 or not 2 <= step <= window or window < 16:
        raise ValueError(
            f"window {window} and step {step}: both must be even, the window at least "
            "16 and at least as large as the step"
        )
    sizes = truth.shape[-2:]
    early = [first % step for first in origin]  # pixels of the first blocks before it
    blocks = [-(-(size + e) // step) for size, e in zip(sizes, early, strict=True)]
    margin = (window - step) // 2
    pads = [
        (margin + e, margin + count * step - size - e)
        for size, e, count in zip(sizes, early, blocks, strict=True)
    ]
    planes = [reflect_pad(i.flatten(0, 1), *pads) for i in (result, truth)]
    rings = _prepare_rings(window, truth.device)
    periods = truth.new_empty(len(planes[0]), *blocks)

    # a row of blocks at a time: all windows at once take (window / step)² images
    def measure(place: tuple[int, int]) -> None:
        plane, row = place
        x, z = (
            image[plane, row * step : row * step + window]
            .unfold(-1, window, step)
            .transpose(0, 1)
            for image in planes
        )
        periods[plane, row] = _measure_periods(x, z, rings)

    places = itertools.product(range(len(periods)), range(blocks[0]))
    compute_side_by_side(measure, places, on_cpu=truth.device.type == "cpu")
    for dim in (-2, -1):
        pixels = periods.repeat_interleave(step, dim=dim)
        periods = pixels.narrow(dim, early[dim], sizes[dim])
    return periods.reshape(truth.shape)


def resolution_radius(*, window: int = _WINDOW, step: int = _STEP) -> int:
    """Return the pixels to each side that `resolution_map` depends on."""
    return (window + step) // 2 - 1


@dataclass(frozen=True)
class _Rings:
    """What windows of one size have in common."""

    taper: Tensor  # (window, window)
    # (2 frequencies, rings): how often each of real and imaginary part counts in a ring
    member: Tensor
    smooth: Tensor  # (rings, smoothed rings); columns sum to 1
    upto: Tensor  # the same, for the mean up to a ring
    chance: Tensor  # (smoothed rings): largest such mean that noise may have
    frequency: Tensor  # (smoothed rings), cycles per pixel


@lru_cache(maxsize=8)
def _prepare_rings(window: int, device: torch.device) -> _Rings:
    hann = torch.hann_window(window, dtype=torch.float64, device=device)
    ring = (radial_frequency(window, window, device=device) * window).round().flatten()
    conjugates = count_conjugates(window, device=device).expand(window, -1)
    number = torch.arange(1, window // 2 + 1, device=device)
    member = (ring[:, None] == number) * conjugates.flatten()[:, None]
    count = member.sum(dim=0)[:, None]
    half = len(_SMOOTH) // 2
    distance = number[:, None] - number[half:]
    # rings of few frequencies would cross the threshold by chance alone
    smooth = sum(w * (distance == k - half) for k, w in enumerate(_SMOOTH)) * count
    upto = (distance <= 0) * count
    # Noise correlates by one over the root of the number of independent frequencies, of
    # which tapering leaves one in `alike` along each axis, hence one in alike² of all.
    alike = (hann**4).mean() / (hann**2).mean() ** 2
    chance = _SIGMAS * alike / upto.sum(dim=0).sqrt()
    smooth, upto = smooth / smooth.sum(dim=0), upto / upto.sum(dim=0)
    taper = hann[:, None] * hann
    # real and imaginary parts are summed as one
    member = member.repeat_interleave(2, dim=0)
    parts = (taper, member, smooth, upto, chance, number[half:] / window)
    return _Rings(*(part.float() for part in parts))


def _measure_periods(x: Tensor, z: Tensor, rings: _Rings) -> Tensor:
    # of windows of shape (B, window, window); the roots are taken one by one, since the
    # product of two small powers would underflow in float32
    x, z = _spectrum(x, rings.taper), _spectrum(z, rings.taper)
    common = (x * z) @ rings.member
    power_x, power_z = (part.square_() @ rings.member for part in (x, z))
    smallest = torch.finfo(common.dtype).tiny
    correlation = common / (power_x.sqrt() * power_z.sqrt()).clamp_min(smallest)
    curve = correlation @ rings.smooth
    below = curve < _THRESHOLD
    after = below.int().argmax(dim=1)  # the first ring below
    before = (after - 1).clamp_min(0)
    high, low = (curve.gather(1, k[:, None])[:, 0] for k in (before, after))
    share = ((high - _THRESHOLD) / (high - low).clamp_min(smallest)).clamp(0, 1)
    first, second = rings.frequency[before], rings.frequency[after]
    period = 1 / (first + share * (second - first))
    mean = (correlation @ rings.upto).gather(1, after[:, None])[:, 0]
    nothing = below[:, 0] | (mean < rings.chance[after])
    period = torch.where(nothing, 1 / rings.frequency[0], period)
    return torch.where(below.any(dim=1), period, 2.0)


def _spectrum(windows: Tensor, taper: Tensor) -> Tensor:
    # real and imaginary parts side by side, shape (B, 2 frequencies)
    middle = windows.shape[-1] // 2
    # so that a flat window is 0 without any rounding
    level = windows[:, middle, middle][:, None, None]
    windows = torch.sub(windows, level, out=windows.new_empty(windows.shape))
    # the mean weighted by the window, or its rest would leak into the first ring
    mean = windows.flatten(1) @ taper.flatten() / taper.sum()
    windows.sub_(mean[:, None, None]).mul_(taper)
    return torch.view_as_real(torch.fft.rfft2(windows)).flatten(1)
