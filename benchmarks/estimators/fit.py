"""Fit the curves of `from_image` and `measured_noise`, source by source left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_structsr.imaging.blur_width.from_image import expand

QUANTILES = (0.05, 0.5, 0.95)
_TAIL = 0.035  # that a range may miss at either end; a new source misses more
_ROUNDS = 80
_CLIP = (0.01, 0.99)  # of what training images show; curves are not followed beyond
_RIDGE = 1e-5
_LEAST_DECADES = 0.05  # that the pixels of a small image leave uncertain


def fit_curves(
    features: np.ndarray, sigma: np.ndarray, sources: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return the numbers that `from_image` holds.

    Parameters
    ----------
    features
        What `describe` returns of each scene, shape (N, 5).
    sigma
        True widths, shape (N,).
    sources
        Of each scene.
    """
    names = np.array(sources)
    # sources count alike, however many scenes they have
    weight = np.array([1 / (names == name).sum() for name in sources])
    least, most = np.quantile(features, _CLIP, axis=0)
    terms, target = expand(np.clip(features, least, most)), np.log(sigma)
    curves = [_fit_quantile(terms, target, q, weight) for q in QUANTILES]
    left_out = np.zeros((len(target), len(QUANTILES)))
    for name in set(sources):
        inside = names != name
        for number, q in enumerate(QUANTILES):
            curve = _fit_quantile(terms[inside], target[inside], q, weight[inside])
            left_out[~inside, number] = terms[~inside] @ curve
    low = np.minimum(left_out[:, 0], left_out[:, 1])
    high = np.maximum(left_out[:, 2], left_out[:, 1])
    margins = np.array(
        [
            _weighted_quantile(low - target, 1 - _TAIL, weight),
            _weighted_quantile(target - high, 1 - _TAIL, weight),
        ]
    )
    return {
        "_SEEN": np.stack([least, most], axis=1),
        "_CURVES": np.stack(curves, axis=1),
        "_MARGINS": np.maximum(margins, 0),
    }


def fit_noise_range(
    found: np.ndarray, noise: np.ndarray, sources: Sequence[str], levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many decades the true noise lies below and above what was found.

    One number for each level of the noise that was found, in decades; scenes count by
    how near they are to it.
    """
    names = np.array(sources)
    weight = np.array([1 / (names == name).sum() for name in sources])
    error = np.log10(noise / found)
    below, above = [], []
    for level in levels:
        near = weight * np.exp(-0.5 * ((np.log10(found) - level) / 0.25) ** 2)
        below.append(_weighted_quantile(-error, 1 - _TAIL, near))
        above.append(_weighted_quantile(error, 1 - _TAIL, near))
    return np.maximum(below, _LEAST_DECADES), np.maximum(above, _LEAST_DECADES)


def _fit_quantile(
    terms: np.ndarray, target: np.ndarray, quantile: float, weight: np.ndarray
) -> np.ndarray:
    """Minimise the tilted absolute error by reweighted least squares."""
    ridge = _RIDGE * weight.sum() * np.eye(terms.shape[1])
    now = weight
    for _ in range(_ROUNDS):
        scaled = terms * now[:, None]
        curve = np.linalg.solve(scaled.T @ terms + ridge, scaled.T @ target)
        residual = target - terms @ curve
        tilt = np.where(residual > 0, quantile, 1 - quantile)
        now = weight * tilt / np.maximum(np.abs(residual), 0.01)
    return curve


def _weighted_quantile(
    values: np.ndarray, quantile: float, weight: np.ndarray
) -> float:
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][np.searchsorted(share, quantile)])
