import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from benchmarks.faults.planting import FAULTS, local_deviation, plant
from napari_structsr.benchmark.phantoms import draw_filaments
from napari_structsr.errors import PixelError
from napari_structsr.imaging.forward import ForwardModel

FORWARD = {factor: ForwardModel(factor, 0.4) for factor in (2, 4)}


@pytest.fixture(scope="module")
def plane():
    """Draw filaments; shape (320, 320)."""
    return draw_filaments(side=320)


def changed(planted, plane):
    """Return what was added."""
    return planted.image.astype(float) - plane


def measured(image, forward_model):
    """Measure a plane without noise."""
    return forward_model(torch.from_numpy(image)[None, None]).numpy()


@pytest.mark.parametrize("visible", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_stays_where_it_is_said_to_be(plane, fault, visible):
    found = plant(fault, plane, plane, forward_model=FORWARD[2], visible=visible)
    change = changed(found, plane)
    assert len(found.places) == 3
    assert not change[~found.touched].any()
    assert not (found.mask & ~found.touched).any()
    strongest = np.abs(change).max()
    assert strongest > 0.02
    inside = np.sqrt(np.mean(change[found.mask] ** 2))
    fringe = change[found.touched & ~found.mask]  # a spot has none
    assert not fringe.size or np.sqrt(np.mean(fringe**2)) < inside / 2
    for row, column in found.places:
        near = np.abs(change[row - 40 : row + 40, column - 40 : column + 40])
        assert near.max() > 0.01


@pytest.mark.parametrize(
    ("fault", "factor"), [*((fault, 2) for fault in FAULTS), ("textured patch", 4)]
)
def test_an_invisible_fault_is_measured_as_nothing(plane, fault, factor):
    forward = FORWARD[factor]
    before = measured(plane, forward)
    strength = {}
    for visible in (True, False):
        found = plant(
            fault, plane, plane, forward_model=forward, visible=visible, seed=2
        )
        difference = np.abs(measured(found.image, forward) - before).max()
        strength[visible] = np.sqrt(np.mean(changed(found, plane)[found.mask] ** 2))
        if visible and fault == "grid texture":  # whose period is a measured pixel
            assert difference < 5e-4
        else:
            assert difference > 5e-3 if visible else difference < 1e-4
    assert strength[False] > 0.01
    assert strength[False] < 2 * strength[True]


def test_faults_are_what_their_names_say(plane):
    made = {
        fault: plant(fault, plane, plane, forward_model=FORWARD[2], seed=1)
        for fault in FAULTS
    }

    def roughness(image, mask):
        """Return the strength of fine detail."""
        fine = image - ndimage.gaussian_filter(image, 1)
        return fine[mask].std()

    gain = made["local gain"]
    share = gain.image[gain.mask] / plane[gain.mask]
    assert 1 <= share.min() < share.max() <= 1.4001
    smooth, rough = made["smoothed patch"], made["textured patch"]
    assert roughness(smooth.image, smooth.mask) < 0.5 * roughness(plane, smooth.mask)
    assert roughness(rough.image, rough.mask) > 1.1 * roughness(plane, rough.mask)
    drawn, erased = made["drawn filament"], made["erased filament"]
    pieces, count = ndimage.label(drawn.touched)
    assert count == 3
    assert (np.bincount(pieces.ravel())[1:] > 200).all()  # as long as 50 pixels
    assert not ndimage.binary_erosion(drawn.touched, iterations=4).any()  # and thin
    assert changed(erased, plane)[erased.mask].mean() < 0
    spot = made["added spot"]
    assert spot.touched.sum() < 3 * 40  # pixels: as small as the point-spread function
    peaks = [np.abs(changed(spot, plane)[place]) for place in spot.places]
    assert min(peaks) == pytest.approx(np.abs(changed(spot, plane)).max(), rel=0.7)
    closed = made["closed gap"]
    assert changed(closed, plane).min() > -1e-6
    # as bright as what is on either side, and no brighter
    assert changed(closed, plane)[closed.mask].mean() > 0.02
    assert (closed.image <= ndimage.maximum_filter(plane, 9) + 1e-6).all()
    turned = made["rotated patch"]
    means = [image[turned.touched].mean() for image in (turned.image, plane)]
    assert means[0] == pytest.approx(means[1], rel=0.05)


def shift(one, other):
    """Return by how many pixels the second image lies elsewhere."""
    found, *_ = phase_cross_correlation(one, other, upsample_factor=20)
    return np.hypot(*found)


def test_what_is_moved_or_doubled_is_the_structure_that_was_there(plane):
    moved = plant("shifted patch", plane, plane, forward_model=FORWARD[2], seed=1)
    for row, column in moved.places:
        part = np.s_[row - 12 : row + 12, column - 12 : column + 12]
        assert 1.8 < shift(plane[part], moved.image[part]) < 4.2
    doubled = plant(
        "duplicated filament", plane, plane, forward_model=FORWARD[2], seed=1
    )
    change = changed(doubled, plane)
    for row, column in doubled.places:
        part = np.s_[row - 40 : row + 40, column - 40 : column + 40]
        # beside the ridge, where it was darker, lies what is as bright as the ridge
        copy = np.unravel_index(change[part].argmax(), (80, 80))
        assert 4 < np.hypot(*(np.array(copy) - 40)) < 30
        assert change[part].max() > 0.5 * np.ptp(plane[row - 4 : row + 5, column])


def test_the_seed_decides_and_both_ways_share_their_places(plane):
    options = {"forward_model": FORWARD[2], "seed": 5}
    first = plant("drawn filament", plane, plane, **options)
    again = plant("drawn filament", plane, plane, **options)
    other = plant("drawn filament", plane, plane, visible=False, **options)
    np.testing.assert_array_equal(first.image, again.image)
    assert first.places == other.places
    options["seed"] = 6
    assert plant("drawn filament", plane, plane, **options).places != first.places


def test_places_hold_structure():
    empty = np.zeros((320, 320), np.float32)
    empty[:160] = draw_filaments(side=320)[:160]
    found = plant("textured patch", empty, empty, forward_model=FORWARD[2])
    least = 0.5 * np.percentile(local_deviation(empty)[40:281, 40:281], 99)
    assert all(local_deviation(empty)[place] >= least for place in found.places)
    assert all(row < 200 for row, _ in found.places)


def test_planes_without_room_are_refused(plane):
    with pytest.raises(PixelError, match="at least 80 pixels"):
        plant("local gain", plane[:60], plane[:60], forward_model=FORWARD[2])
    with pytest.raises(PixelError, match="one shape"):
        plant("local gain", plane[:90], plane, forward_model=FORWARD[2])
    small = plane[:96, :96]
    assert len(plant("local gain", small, small, forward_model=FORWARD[2]).places) == 1
