import numpy as np
import pytest
import skimage.io
import torch

from napari_structsr.errors import SourceError, TrainingError
from napari_structsr.training.patch_sampler import (
    ImageSampler,
    Plane,
    draw_batch,
    load_planes,
    split_planes,
)
from napari_structsr.training.recipe import DataConfig, Recipe


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def test_crops_are_whole_regions_turned_and_mirrored():
    """Every pixel of these planes is its own address."""
    height, width = 150, 200
    values = np.arange(height * width).reshape(height, width).astype(np.int16)
    other = np.full((97, 300), -1, np.int16)
    pool = ImageSampler([Plane("a", other), Plane("a", values)], "cpu")
    crops = (pool.draw(300, 40, random()) * 32767).round().int()[:, 0]
    crops = crops[crops[:, 0, 0] >= 0]
    assert len(crops) > 50
    orders = set()
    for crop in crops.numpy():
        down, right = np.diff(crop, axis=0), np.diff(crop, axis=1)
        assert np.unique(down).size == np.unique(right).size == 1
        step = (int(down[0, 0]), int(right[0, 0]))
        assert sorted(map(abs, step)) == [1, width]
        rows, columns = np.divmod(crop, width)
        assert np.ptp(rows) == np.ptp(columns) == 39
        orders.add(step)
    assert len(orders) == 8


def test_all_of_a_plane_is_reached():
    values = np.arange(100 * 130).reshape(100, 130).astype(np.int16)
    pool = ImageSampler([Plane("a", values)], "cpu")
    crops = (pool.draw(2000, 40, random()) * 32767).round().int()
    assert set(crops.unique().tolist()) == set(range(100 * 130))


def test_sources_weigh_by_the_square_root_of_their_planes():
    planes = [Plane("many", np.full((64, 64), 100, np.int16))] * 9
    planes += [Plane("one", np.full((64, 64), 200, np.int16))]
    crops = ImageSampler(planes, "cpu").draw(8000, 32, random())
    share = float(((crops[:, 0, 0, 0] * 32767).round() == 100).float().mean())
    assert share == pytest.approx(3 / 4, abs=0.02)


def test_detail_is_drawn_more_often_than_background():
    pixels = np.zeros((64, 640), np.int16)
    rng = np.random.default_rng(0)
    pixels[:, :64] = rng.integers(0, 30000, (64, 64))
    crops = ImageSampler([Plane("a", pixels)], "cpu").draw(2000, 32, random())
    share = float((crops.amax(dim=(1, 2, 3)) > 0).float().mean())
    assert share > 0.3  # of a tenth of the area


def test_measured_and_true_pixels_belong_together(images):
    pool = ImageSampler(load_planes(images, smallest=88), "cpu")
    quiet = DataConfig(photons=(1e9, 1e9), read_noise=(1e-7, 1e-7))
    recipe = Recipe(name="quiet", data=quiet, patch=32)
    pairs = draw_batch(pool, recipe, count=4, number=3, generator=random())
    assert pairs.measured.shape == (4, 1, 32, 32)
    assert pairs.truth.shape == (4, 1, 64, 64)
    again = pairs.forward_model(pairs.truth)
    reach = pairs.forward_model.reach
    inner = (..., slice(reach, -reach), slice(reach, -reach))
    torch.testing.assert_close(again[inner], pairs.measured[inner], atol=1e-3, rtol=0)


def test_the_stated_variance_is_that_of_the_noise():
    flat = [Plane("a", np.full((200, 200), 16384, np.int16))]
    config = DataConfig(photons=(500, 500), read_noise=(0.01, 0.01), gain=(1, 1))
    pairs = draw_batch(
        ImageSampler(flat, "cpu"),
        Recipe(name="flat", data=config, patch=64),
        count=8,
        number=0,
        generator=random(),
    )
    assert float(pairs.variance.mean()) == pytest.approx(
        float(pairs.measured.var()), rel=0.05
    )


def test_validation_planes_are_not_trained_on():
    planes = [Plane("a", np.full((2, 2), n, np.int16)) for n in range(30)]
    planes += [Plane("few", np.full((2, 2), 99, np.int16))] * 3
    training, held = split_planes(planes)
    numbers = [{int(plane.pixels[0, 0]) for plane in part} for part in (training, held)]
    assert not numbers[0] & numbers[1]
    assert numbers[0] | numbers[1] == {*range(30), 99}
    assert 2 <= len(held) <= 5
    assert 99 in numbers[0]


def test_colour_is_read_as_luminance_and_stacks_by_plane(images, tmp_path):
    assert len(load_planes(images, smallest=88)) == 11
    (tmp_path / "rgb").mkdir()
    colour = np.zeros((100, 100, 3), np.uint8)
    colour[:50, :, 1] = 200
    skimage.io.imsave(tmp_path / "rgb" / "a.png", colour, check_contrast=False)
    (plane,) = load_planes(tmp_path, smallest=88)
    assert plane.pixels.shape == (100, 100)
    assert plane.pixels[10, 10] == 32767
    assert plane.pixels[90, 10] == 0


def test_nothing_to_train_on_is_said_with_the_reason(tmp_path):
    with pytest.raises(SourceError, match="no images"):
        load_planes(tmp_path, smallest=88)
    (tmp_path / "a").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (40, 200)).astype(np.uint8)
    skimage.io.imsave(tmp_path / "a" / "small.png", noise, check_contrast=False)
    flat = np.full((200, 200), 7, np.uint8)
    skimage.io.imsave(tmp_path / "a" / "flat.png", flat, check_contrast=False)
    holes = np.full((200, 200), np.nan, np.float32)
    skimage.io.imsave(tmp_path / "a" / "nan.tif", holes)
    with pytest.raises(TrainingError, match=r"1 planes are smaller.*2 are constant"):
        load_planes(tmp_path, smallest=88)


def test_a_broken_file_is_named(images, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.png").write_bytes(b"no image")
    with pytest.raises(SourceError, match=r"broken\.png"):
        load_planes(tmp_path, smallest=88)
