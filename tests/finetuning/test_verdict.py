import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from napari_structsr.finetuning.verdict import measure_chance, reach_verdict

TILES = 12


def table(psnr, ssim=0.8, error=0.6, *, tiles=TILES, spread=1.0):
    """Return scores of tiles that differ in difficulty."""
    level = np.linspace(-spread, spread, tiles)
    return np.stack([psnr + level, np.full(tiles, ssim), np.full(tiles, error)], axis=1)


def verdict(adapted, *, together=0.9, drift=0.01, **others):
    scores = {
        "bicubic": others.get("bicubic", table(28.0, 0.7, 0.8, tiles=len(adapted))),
        "parent": others.get("parent", table(30.0, tiles=len(adapted))),
        "adapted": adapted,
    }
    return reach_verdict(
        scores, pair_correlation=np.full(len(adapted), together), drift=drift
    )


def test_a_clear_gain_is_recommended_with_its_size():
    found = verdict(table(30.6, 0.82, 0.55))
    assert found.recommended
    assert "0.60 dB over its parent and 2.60 dB over bicubic" in found.sentence
    assert "on 12 of 12 tiles, which chance alone gives less than once" in (
        found.sentence
    )
    assert found.scores["adapted"]["psnr"] == pytest.approx(30.6)


@pytest.mark.parametrize(
    ("adapted", "said"),
    [
        (table(30.0), "0.00 dB in the mean"),
        (table(29.0, 0.82), "-1.00 dB in the mean"),
        (table(30.6, 0.79), "SSIM against the parent falls by 0.0100"),
        (table(30.6, 0.82, 1.02), "flat image"),
    ],
)
def test_less_than_both_others_is_refused(adapted, said):
    found = verdict(adapted)
    assert not found.recommended
    assert found.sentence.startswith("Not recommended")
    assert said in found.sentence
    assert "required is a gain" in found.sentence


def test_better_than_the_parent_and_worse_than_bicubic_is_refused():
    found = verdict(table(30.6, 0.82), bicubic=table(31.0, 0.7))
    assert not found.recommended
    assert "bicubic changes by -0.40 dB" in found.sentence


def test_a_gain_on_one_tile_alone_may_be_chance():
    lucky = table(30.0, 0.82)
    lucky[3, 0] += 3
    found = verdict(lucky)
    assert not found.recommended
    assert "may be chance: it is positive on 1 of 12 tiles" in found.sentence


@pytest.mark.parametrize("tiles", range(1, 10))
def test_all_of_few_tiles_are_better_as_often_as_coins_fall_alike(tiles):
    found = verdict(table(30.6, 0.82, tiles=tiles))
    assert found.chance == pytest.approx(2.0**-tiles)
    assert found.recommended == (tiles >= 5)
    said = "12 times in 100" if tiles == 3 else f"once in {2**tiles} times"
    assert tiles < 3 or said in found.sentence
    if not found.recommended:
        assert f"positive on {tiles} of {tiles} tile" in found.sentence
        assert "more or larger regions for validation" in found.sentence


@given(st.integers(0, 2**31), st.integers(5, 13))
def test_chance_is_that_of_the_signs(seed, tiles):
    """Of gains of one size the sign test of others says the same."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], tiles)
    better = int((signs > 0).sum())
    wanted = stats.binomtest(better, tiles, alternative="greater").pvalue
    assert measure_chance(0.25 * signs) == pytest.approx(wanted)


def test_pairs_that_do_not_belong_together_are_refused_whatever_the_gain():
    found = verdict(table(36.0, 0.9, 0.3), together=0.05)
    assert not found.recommended
    assert "belong together" in found.sentence


def test_a_drift_is_said():
    assert (
        "0.50 dB: keep the parent for those" in verdict(table(31.0), drift=0.5).sentence
    )
    assert "keep the parent" not in verdict(table(31.0), drift=None).sentence


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_noise_around_no_gain_is_hardly_ever_recommended(seed, tiles):
    """Whatever the seed, a recommendation needs a gain that matters."""
    random = np.random.default_rng(seed)
    adapted = table(30.0, 0.82, tiles=tiles)
    adapted[:, 0] += random.normal(0, 0.2, tiles)
    found = verdict(adapted)
    gain = found.scores["adapted"]["psnr"] - found.scores["parent"]["psnr"]
    assert not found.recommended or gain >= 0.05
