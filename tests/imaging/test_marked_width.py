"""A bead, an edge or a filament that is pointed at gives the width of the blur."""

import numpy as np
import pytest

from benchmarks.estimators.marks import SIDE, simulate
from napari_structsr.errors import SettingsError
from napari_structsr.imaging.blur_width.marked import (
    Width,
    combine_widths,
    fit_width,
)


@pytest.mark.parametrize("shape", ["bead", "edge", "filament"])
@pytest.mark.parametrize("sigma", [0.5, 0.9, 1.5])
def test_the_width_is_right_and_so_is_its_error(shape, sigma):
    found = [
        fit_width(*_order(simulate(shape, sigma, seed=seed), shape))
        for seed in range(8)
    ]
    errors = np.array([one.sigma - sigma for one in found])
    stated = np.array([one.error for one in found])
    assert np.sqrt((errors**2).mean()) < 0.08 * sigma
    assert abs(combine_widths(found).sigma - sigma) < 0.04 * sigma
    # 3 standard errors, at most one of eight beyond two
    assert (np.abs(errors) < 3.5 * stated).all()
    assert (np.abs(errors) < 2 * stated + 0.02 * sigma).sum() >= 6


def _order(simulated, shape):
    image, place = simulated
    return image, shape, place


def test_unit_and_offset_of_the_camera_do_not_matter():
    image, place = simulate("bead", 1.1, seed=3)
    one = fit_width(image, "bead", place)
    other = fit_width(image * 30_000 + 1000, "bead", place)
    assert other.sigma == pytest.approx(one.sigma, rel=1e-3)
    # what absorbs light is measured as well
    dark = fit_width(2 - image, "bead", place)
    assert dark.sigma == pytest.approx(1.1, rel=0.08)


def test_the_diameter_of_a_bead_is_taken_off():
    image, place = simulate("bead", 0.8, seed=5, diameter=2.0)
    assert fit_width(image, "bead", place).sigma > 0.88
    known = fit_width(image, "bead", place, diameter=2.0)
    assert known.sigma == pytest.approx(0.8, rel=0.06)
    with pytest.raises(SettingsError, match="smaller one"):
        fit_width(image, "bead", place, diameter=6.0)


def test_what_is_no_bead_is_refused_with_a_way_out():
    rng = np.random.default_rng(0)
    flat = rng.poisson(100, (SIDE, SIDE)).astype(float)
    image, place = simulate("bead", 1.0, seed=1)
    line = [10, 20, 30, 20]
    for pixels, shape, where in (
        (flat, "bead", (20, 20)),
        (flat, "edge", line),
        (flat, "filament", line),
        (np.full((SIDE, SIDE), 7.0), "bead", (20, 20)),
        (np.minimum(image, 0.3), "bead", place),  # saturated
        (image, "edge", (20, 20, 20, 21)),
    ):
        with pytest.raises(SettingsError, match=r"point at another|draw it"):
            fit_width(pixels, shape, where)


def test_beads_that_differ_are_less_certain_than_each():
    alike = combine_widths([Width(1.0, 0.03)] * 4)
    apart = combine_widths([Width(s, 0.03) for s in (0.7, 0.9, 1.1, 1.3)])
    assert alike.error == pytest.approx(0.015)
    assert apart.error > 0.1
