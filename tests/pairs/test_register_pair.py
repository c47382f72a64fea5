import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage
from skimage import data
from skimage.color import rgb2gray

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.engine.statistics import measure_intensity
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.arrays import ArraySource, make_spec
from napari_structsr.io.open import open_source
from napari_structsr.pairs.checks import find_twin
from napari_structsr.pairs.files import file_stem, match_files
from napari_structsr.pairs.register_pair import field_pair
from napari_structsr.pairs.simulate import high_only_pair

FINE = 0.1  # micrometres


@pytest.fixture(scope="module")
def scene():
    """Return a truth of 256 x 256 pixels, 0..1."""
    tissue = rgb2gray(data.immunohistochemistry())[60:316, 60:316]
    return (tissue - tissue.min()) / np.ptp(tissue)


def source(
    pixels, pixel=None, *, place=(0.0, 0.0), names=None, unit="micrometer", name="image"
):
    """Wrap an array with pixel size and place of its corner."""
    pixels = np.asarray(pixels)
    names = names or ("zyx" if pixels.ndim == 3 else "yx")
    items = []
    for axis, size in zip(names, pixels.shape, strict=True):
        if axis in "yx" and pixel is not None:
            corner = place["yx".index(axis)]
            items.append(Axis(axis, size, pixel, corner + pixel / 2, unit))
        else:
            items.append(Axis(axis, size))
    spec = make_spec(name, Axes(tuple(items)), pixels.dtype)
    return ArraySource(pixels, spec, names=names, origin="numpy array")


def measured(truth, factor, *, sigma=0.5, noise=0.005, seed=0):
    """Measure a truth, 16 bit."""
    image = torch.from_numpy(np.ascontiguousarray(truth))[None, None]
    clean = ForwardModel(factor, sigma)(image)[0, 0].numpy()
    rng = np.random.default_rng(seed)
    noisy = clean + rng.normal(0, noise, clean.shape)
    return (1000 + 20000 * noisy).astype(np.uint16)


def images(scene, factor=2, **kwargs):
    """Return what a microscope gives of a scene at two magnifications."""
    low = source(measured(scene, factor, **kwargs), factor * FINE, name="low")
    high = source((scene * 200 + 20).astype(np.uint8), FINE, name="high")
    return low, high


def residual(pair):
    """Return the root mean square of measured minus the truth measured again."""
    truth = torch.from_numpy(pair.truth)[None, None]
    again = ForwardModel(pair.factor, pair.psf_sigma)(truth)[0, 0].numpy()
    inner = (slice(3, -3),) * 2
    return float(np.sqrt(np.mean((again - pair.measured)[inner] ** 2)))


@pytest.mark.parametrize("factor", [2, 4])
def test_truth_measured_again_is_the_measurement(scene, factor):
    low, high = images(scene, factor)
    pair = field_pair(low, high, region=(5, 61, 4, 60))
    assert pair.factor == factor
    assert pair.measured.shape == (56, 56)
    assert pair.truth.shape == (56 * factor, 56 * factor)
    assert pair.measured.dtype == pair.truth.dtype == np.float32
    span = measure_intensity(low)[0].span
    assert residual(pair) < 1.3 * 0.005 * 20000 / span
    assert pair.psf_sigma == pytest.approx(0.5, abs=0.05)
    assert max(np.abs(pair.registration.shift)) < 0.1
    assert pair.name == "low"


def test_statistics_are_those_of_the_whole_image(scene):
    """A dark region stays dark."""
    low, high = images(scene, noise=0.03)
    pair = field_pair(low, high, region=(20, 70, 30, 90))
    rows, columns = (slice(*part) for part in (pair.where.rows, pair.where.columns))
    whole = measure_intensity(low)[0]
    wanted = whole.normalise(low.read((), rows, columns)[0])
    np.testing.assert_array_equal(pair.measured, wanted)
    rise, floor = pair.noise
    assert floor + rise * 0.5 == pytest.approx((600 / whole.span) ** 2, rel=0.3)


def test_place_scale_and_factor_are_put_right(scene):
    """The fine image has other pixels, another corner, and a wrong size by 1%."""
    low, _ = images(scene)
    step, off = 0.87, (3.3, -2.2)  # fine pixels of the scene
    lines = [first + step * np.arange(270) for first in (20.0, 15.0)]
    grid = np.meshgrid(*lines, indexing="ij")
    other = ndimage.map_coordinates(scene, grid, order=5, mode="mirror")
    corner = [(line[0] + by + 0.5) * FINE for line, by in zip(lines, off, strict=True)]
    corner = [at - step * FINE / 2 for at in corner]
    high = source(other.astype(np.float32), step * FINE * 1.01, place=corner)
    pair = field_pair(low, high, region=(0, 116, 15, 121))
    span = measure_intensity(low)[0].span
    assert residual(pair) < 1.4 * 0.005 * 20000 / span
    assert pair.registration.scale == pytest.approx(1 / 1.01, abs=5e-4)
    words = " ".join(pair.notes)
    assert "resampled from factor 2.28 to 2" in words
    assert "scale was corrected" in words
    assert "that both images show" in words
    assert pair.where.rows[0] > 5
    height, width = pair.measured.shape
    assert pair.truth.shape == (2 * height, 2 * width)


def test_a_region_is_found_by_its_surroundings(scene):
    """A stage that is off by more than a quarter of the region."""
    low, _ = images(scene)
    off = (23.0, -18.0)  # true pixels
    moved = ndimage.shift(scene, off, order=5, mode="mirror")
    high = source(moved.astype(np.float32), FINE)
    pair = field_pair(low, high, region=(40, 74, 50, 90))
    assert pair.registration.shift == pytest.approx([-by for by in off], abs=0.1)
    assert "around the region" in " ".join(pair.notes)
    span = measure_intensity(low)[0].span
    assert residual(pair) < 1.4 * 0.005 * 20000 / span


def test_units_are_converted(scene):
    low, _ = images(scene)
    pixels = (scene * 200).astype(np.uint8)
    pair = field_pair(low, source(pixels, 100.0, unit="nanometer"))
    assert max(np.abs(pair.registration.shift)) < 0.1


def test_images_without_pixel_size_share_their_field(scene):
    low = source(measured(scene, 4))
    pair = field_pair(low, source(scene.astype(np.float32)))
    assert pair.factor == 4
    assert "same field of view" in " ".join(pair.notes)


def test_inverted_contrast_is_undone(scene):
    low, _ = images(scene)
    high = source((250 - scene * 200).astype(np.uint8), FINE)
    pair = field_pair(low, high)
    assert pair.gain < 0
    span = measure_intensity(low)[0].span
    assert residual(pair) < 1.3 * 0.005 * 20000 / span


def test_without_registration_coordinates_are_trusted(scene):
    low, high = images(scene)
    pair = field_pair(low, high, register=False)
    assert pair.registration.shift == (0, 0)
    far = source(high.read((), slice(0, 256), slice(0, 256))[0][::-1].copy(), FINE)
    with pytest.raises(TrainingError, match="nothing in common"):
        field_pair(low, far, register=False)


def test_planes_of_stacks_are_matched_by_name(scene):
    lows = np.stack([measured(scene, 2), measured(scene.T, 2)])
    highs = np.stack([scene, scene.T]).astype(np.float32)
    low, high = source(lows, 2 * FINE), source(highs, FINE)
    one, other = (field_pair(low, high, plane=(index,)) for index in (0, 1))
    assert [pair.where.plane for pair in (one, other)] == [(0,), (1,)]
    np.testing.assert_allclose(one.truth, other.truth.T, atol=0.02)
    assert one.where.sources == other.where.sources


def test_bad_input_is_refused_with_what_to_do(scene):
    low, high = images(scene)

    def refused(word, *, first=low, second=high, **kwargs):
        with pytest.raises(TrainingError, match=word):
            field_pair(first, second, **kwargs)

    refused("are the same", second=low)
    refused("swapped", first=high, second=low)
    refused("do not overlap", second=source(scene, FINE, place=(900, 0)))
    refused("share only", second=source(scene, FINE, place=(21, 0)))
    refused("draw a larger one", region=(0, 10, 0, 12))
    refused("do not overlap", region=(500, 600, 500, 600))
    stack = source(np.stack([scene] * 3), FINE)
    refused("3", second=stack)
    refused("planes along z", second=stack)
    colour = source(np.stack([scene] * 3, -1), FINE, names="yxs")
    refused("in colour", second=colour)
    refused("bin the low", factor=2, second=source(scene, 1.9 * FINE))
    refused("factor 4", factor=4, second=source(scene, 0.9 * FINE))
    refused("2 or 4", factor=3)
    holes = scene.copy()
    holes[50, 60] = np.nan
    refused("NaN", second=source(holes, FINE))
    refused("constant", second=source(np.where(scene < 2, 0.5, 0), FINE))
    clipped = np.minimum(scene, np.quantile(scene, 0.9))
    refused("saturated", second=source(clipped, FINE))
    rng = np.random.default_rng(0)
    refused("nothing but noise", second=source(rng.normal(size=scene.shape), FINE))
    gravel = data.gravel()[:256, :256]
    refused("laid on each other", second=source(gravel, FINE), region=(0, 40, 0, 40))


def test_a_wrong_pixel_size_is_named(scene):
    low, _ = images(scene)
    high = source(scene, 1.2 * FINE)
    with pytest.raises(TrainingError, match=r"pixel sizes .* 0\.83"):
        field_pair(low, high, region=(16, 88, 16, 88))


def test_a_blurred_truth_is_refused(scene):
    """Sizes say low and high; contents say the opposite."""
    low = source(measured(scene, 2, sigma=0.0), 2 * FINE)
    high = source(ndimage.gaussian_filter(scene, 3.0), FINE)
    with pytest.raises(TrainingError, match="less detail"):
        field_pair(low, high)


def test_colour_pairs_are_learnt_by_luminance():
    colour = data.immunohistochemistry()[100:356, 100:356]
    grey = rgb2gray(colour)
    lows = measured(grey, 2) // 100
    low = source(np.stack([lows] * 3, -1).astype(np.uint8), 2 * FINE, names="yxs")
    pair = field_pair(low, source(colour, FINE, names="yxs"))
    assert "luminance" in " ".join(pair.notes)
    assert residual(pair) < 0.03


def test_the_forward_model_makes_the_partner(scene):
    high = source((scene * 200 + 20).astype(np.uint8), FINE)
    pair = high_only_pair(
        high, factor=2, region=(1, 251, 0, 250), psf_sigma=0.6, photons=500
    )
    assert pair.where.rows == (1, 125)
    assert pair.where.pixel == pytest.approx((2 * FINE, 2 * FINE))
    assert pair.measured.shape == (124, 125)
    assert pair.truth.shape == (248, 250)
    truth = torch.from_numpy(pair.truth)[None, None]
    again = ForwardModel(2, 0.6)(truth)[0, 0].numpy()
    rise, floor = pair.noise
    deviation = np.sqrt(rise * np.maximum(again, 0) + floor)
    scaled = (pair.measured - again)[4:-4, 4:-4] / deviation[4:-4, 4:-4]
    assert np.mean(scaled**2) == pytest.approx(1, abs=0.06)
    again_pair = high_only_pair(
        high, factor=2, region=(1, 251, 0, 250), psf_sigma=0.6, photons=500
    )
    assert again_pair.fingerprint == pair.fingerprint
    whole = high_only_pair(high, factor=2, photons=1e6, read_noise=1e-4)
    np.testing.assert_allclose(
        np.percentile(whole.measured, (0.1, 99.9)), (0, 1), atol=0.05
    )


def test_noise_is_that_of_a_sample(scene):
    sample = source(measured(scene, 2, noise=0.03), 2 * FINE)
    high = source(scene.astype(np.float32), FINE)
    pair = high_only_pair(high, factor=2, sample=sample)
    span = measure_intensity(sample)[0].span
    wanted = 0.03 * 20000 / span
    rise, floor = pair.noise
    assert np.sqrt(floor + 0.5 * rise) == pytest.approx(wanted, rel=0.3)
    with pytest.raises(TrainingError, match="larger"):
        high_only_pair(high, factor=4, region=(0, 100, 0, 100))


def test_folders_are_matched_by_name_and_twins_left_out(scene, tmp_path):
    for kind, pixel in (("low", 2 * FINE), ("high", FINE)):
        (tmp_path / kind).mkdir()
        for number, image in enumerate((scene, scene.T, scene)):
            pixels = measured(image, 2) if kind == "low" else image.astype(np.float32)
            tifffile.imwrite(
                tmp_path / kind / f"{number}.ome.tif",
                pixels,
                metadata={"axes": "YX", "PhysicalSizeX": pixel, "PhysicalSizeY": pixel},
            )
    files = match_files(tmp_path / "low", tmp_path / "high")
    assert [(file_stem(low), file_stem(high)) for low, high in files] == [
        (name, name) for name in "012"
    ]
    pairs = [
        field_pair(*map(open_source, both), name=file_stem(both[0])) for both in files
    ]
    assert find_twin(pairs[1], pairs[:1]) is None
    assert find_twin(pairs[2], pairs[:2]) == "0"
    (tmp_path / "high" / "2.ome.tif").rename(tmp_path / "high" / "2.tif")  # no matter
    (tmp_path / "high" / "1.ome.tif").rename(tmp_path / "high" / "other.tif")
    with pytest.raises(TrainingError, match="no partner: 1, other"):
        match_files(tmp_path / "low", tmp_path / "high")
    for kind in ("low", "high"):  # dots are part of a name
        (tmp_path / kind / "0.ome.tif").rename(tmp_path / kind / "day.1.ome.tif")
        (tmp_path / kind / "2.ome.tif").unlink(missing_ok=True)
    (tmp_path / "high" / "2.tif").unlink()
    (tmp_path / "high" / "other.tif").rename(tmp_path / "high" / "day.2.tif")
    (tmp_path / "low" / "1.ome.tif").rename(tmp_path / "low" / "day.2.ome.tif")
    found = match_files(tmp_path / "low", tmp_path / "high")
    assert [file_stem(low) for low, _ in found] == ["day.1", "day.2"]
    (tmp_path / "low" / "day.2.tif").touch()
    with pytest.raises(TrainingError, match="one name but for the ending"):
        match_files(tmp_path / "low", tmp_path / "high")
