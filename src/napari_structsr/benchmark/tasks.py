"""Tasks that follow super-resolution: finding objects, and tracing lines.

Both tasks find in the truth what there is to be found, and by which rule: bright or
dark, and above which threshold. The rule is then applied to the result as it is, so
that what is missing, merged, broken or invented in the result is a difference of
pixels and of nothing else.

* *Objects* (nuclei, pores): local threshold, holes filled, touching ones split by a
  watershed. Scored by the F1 of objects matched at an intersection over union of 0.5.
* *Lines* (filaments, cracks, grain boundaries): ridges of the second derivative, by
  hysteresis, thinned. Scored by the F1 of the shares of line within 2 pixels of a line
  of the other image.

Which task applies is read from the truth alone, see `ObjectTask.of` and
`LineTask.of`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import apply_hysteresis_threshold, gaussian, threshold_otsu
from skimage.measure import label
from skimage.morphology import skeletonize
from skimage.segmentation import watershed

from napari_structsr.core.types import Array

_GRAIN = 1.0  # pixels; smooths the grain of a camera before thresholding
_SURROUNDINGS = 1 / 4  # of the shorter side: window of the local mean
_SEPARABLE = 0.7  # share of variance between the classes; Gaussian noise has 0.64
_SKEWED = 2.0  # skewness of the differences to the surroundings; noise has 0
_SMALLEST_OBJECT = 30  # pixels
_FEWEST_OBJECTS = 8
_SPLIT = 5  # pixels between the centres of touching objects

_WIDTH = 2.0  # pixels, sigma of the second derivative
_SHORTEST_LINE = 24  # pixels
_ALONG = 0.45  # of the curvature across; ridges of Gaussian noise have 0.52
_NEAR = 2  # pixels


@dataclass(frozen=True)
class ObjectTask:
    """Finding objects by a rule taken from a truth.

    Parameters
    ----------
    sign
        1 for objects brighter than their surroundings, -1 for darker ones.
    surroundings
        Side in pixels of the square whose mean is subtracted.
    threshold
        Difference to the surroundings from which a pixel belongs to an object.
    expected
        Labels of the objects of the truth.
    """

    sign: int
    surroundings: int
    threshold: float
    expected: Array

    @classmethod
    def of(cls, truth: Array) -> ObjectTask | None:
        """Take the rule from a truth, or return None if it holds no objects.

        The sign is that of the skewness of the differences to the surroundings, the
        threshold is Otsu's. There are objects if these differences fall into two
        classes that make up 70% of the variance, or if they are skewed by 2 or more;
        noise and texture of any grain have 64% and 0. And 8 objects must be found.
        """
        # odd, so that the window has a middle
        surroundings = max(49, int(min(truth.shape) * _SURROUNDINGS) | 1)
        contrast = _subtract_surroundings(truth, surroundings)
        spread = contrast.std()
        if spread == 0:
            return None
        skewness = (((contrast - contrast.mean()) / spread) ** 3).mean()
        # few bright objects skew to the right, few dark ones to the left
        sign = 1 if skewness >= 0 else -1
        threshold = float(threshold_otsu(sign * contrast))
        inside = sign * contrast > threshold
        share = inside.mean()
        if not 0 < share < 1:
            return None
        apart = (contrast[inside].mean() - contrast[~inside].mean()) / spread
        separable = share * (1 - share) * apart**2 >= _SEPARABLE
        if not separable and abs(skewness) < _SKEWED:
            return None
        task = cls(sign, surroundings, threshold, np.zeros((0, 0)))
        expected = task.find(truth)
        if expected.max() < _FEWEST_OBJECTS:
            return None
        return replace(task, expected=expected)

    def find(self, image: Array) -> Array:
        """Return the labels 1, 2, ... of the objects of an image."""
        mask = (
            self.sign * _subtract_surroundings(image, self.surroundings)
            > self.threshold
        )
        mask = _remove_small(ndimage.binary_fill_holes(mask), _SMALLEST_OBJECT)
        # smoothed, as every bump of an outline would split an object
        depth = gaussian(ndimage.distance_transform_edt(mask), 1.0)
        # objects at the border are objects, though they are cut
        peaks = peak_local_max(
            depth,
            min_distance=_SPLIT,
            labels=mask.astype(np.int32),
            exclude_border=False,
        )
        seeds = np.zeros(mask.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        found: Array = watershed(-depth, seeds, mask=mask)
        return found

    def score(self, result: Array) -> float:
        """Return the F1 of objects matched at an intersection over union of 0.5."""
        return match_objects(self.find(result), self.expected)


@dataclass(frozen=True)
class LineTask:
    """Tracing lines by a rule taken from a truth.

    Parameters
    ----------
    sign
        1 for bright lines, -1 for dark ones.
    weak, strong
        Curvature across the line from which a pixel belongs to a line that reaches
        the strong one somewhere.
    expected
        Mask of the lines of the truth, one pixel wide.
    """

    sign: int
    weak: float
    strong: float
    expected: Array

    @classmethod
    def of(cls, truth: Array) -> LineTask | None:
        """Take the rule from a truth, or return None if it holds no lines.

        Lines are bright or dark, whichever bend more strongly, by the 99th percentile
        of the curvature. The strong threshold is Otsu's among the curvatures of that
        sign, the weak one half of it. There are lines if together they are as long as
        the longer side of the image, and if the curvature along them is below 45% of
        that across, in the mean: ridges of noise of any grain have 52%.
        """
        bends = {sign: measure_curvature(truth, sign) for sign in (1, -1)}
        # a percentile, as a single bright pixel must not decide
        sign = max(bends, key=lambda key: float(np.percentile(bends[key], 99)))
        values = bends[sign][bends[sign] > 0]
        if not len(values):
            return None
        strong = float(threshold_otsu(values))
        task = cls(sign, strong / 2, strong, np.zeros((0, 0)))
        expected = task.find(truth)
        if expected.sum() < max(truth.shape):
            return None
        along, across = bends[-sign][expected], bends[sign][expected]
        if np.mean(np.abs(along) / across) >= _ALONG:
            return None
        return replace(task, expected=expected)

    def find(self, image: Array) -> Array:
        """Return the mask of the lines of an image, one pixel wide."""
        bend = measure_curvature(image, self.sign)
        lines = skeletonize(apply_hysteresis_threshold(bend, self.weak, self.strong))
        return _remove_small(lines, _SHORTEST_LINE)

    def score(self, result: Array) -> float:
        """Return the F1 of the shares of line within 2 pixels of the other image's."""
        return match_lines(self.find(result), self.expected)


def match_objects(found: Array, expected: Array) -> float:
    """Return the F1 of two label images, objects matched at an IoU above 0.5.

    Parameters
    ----------
    found, expected
        Labels 1, 2, ... without gaps, 0 for background; one shape.
    """
    count_f, count_e = int(found.max()), int(expected.max())
    if count_f + count_e == 0:
        return 1.0
    # a joint histogram of both labels counts all overlaps at once
    pairs = found.astype(np.int64) * (count_e + 1) + expected
    common = np.bincount(pairs.ravel(), minlength=(count_f + 1) * (count_e + 1))
    table = common.reshape(count_f + 1, count_e + 1)
    sizes_f, sizes_e = table.sum(axis=1)[1:, None], table.sum(axis=0)[None, 1:]
    inner = table[1:, 1:]
    # above one half an object has one partner at most: nothing is to be assigned
    hits = int((inner > 0.5 * (sizes_f + sizes_e - inner)).sum())
    return 2 * hits / (count_f + count_e)


def match_lines(found: Array, expected: Array) -> float:
    """Return the F1 of two masks of lines, near meaning within 2 pixels."""
    if not found.any() or not expected.any():
        return float(found.any() == expected.any())
    # the distance of each pixel of a line to the other image's lines
    precision = (ndimage.distance_transform_edt(~expected)[found] <= _NEAR).mean()
    recall = (ndimage.distance_transform_edt(~found)[expected] <= _NEAR).mean()
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0


def measure_curvature(image: Array, sign: int) -> Array:
    """Return how strongly an image bends across bright (1) or dark (-1) lines.

    The larger eigenvalue of the negated Hessian, at a sigma of 2 pixels.
    """
    smooth = gaussian(sign * image.astype(np.float64), _WIDTH)
    padded = np.pad(smooth, 1, mode="symmetric")
    centre = 2 * smooth
    down = padded[2:, 1:-1] + padded[:-2, 1:-1] - centre
    across = padded[1:-1, 2:] + padded[1:-1, :-2] - centre
    mixed = (padded[2:, 2:] - padded[2:, :-2] - padded[:-2, 2:] + padded[:-2, :-2]) / 4
    # eigenvalues of a symmetric 2 x 2 matrix, in closed form
    bend: Array = np.hypot((down - across) / 2, mixed) - (down + across) / 2
    return bend


def _subtract_surroundings(image: Array, surroundings: int) -> Array:
    image = image.astype(np.float64)
    mean = ndimage.uniform_filter(image, surroundings)
    contrast: Array = gaussian(image, _GRAIN) - mean
    return contrast


def _remove_small(mask: Array, least: int) -> Array:
    """Remove parts of fewer than `least` pixels, diagonals touching."""
    parts = label(mask, connectivity=2)
    kept: Array = (np.bincount(parts.ravel()) >= least)[parts] & mask
    return kept
