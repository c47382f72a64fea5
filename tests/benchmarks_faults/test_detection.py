import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from typer.testing import CliRunner

from benchmarks.faults.__main__ import app
from benchmarks.faults.detection import (
    UNIONS,
    Detections,
    Found,
    auroc,
    combine_maps,
    detect,
    orient_and_smooth,
)
from benchmarks.faults.planting import FAULTS
from benchmarks.faults.tables import format_faults
from napari_structsr.core.error_map import MAPS

SCRIPT = Path(__file__).parents[2] / "scripts" / "fault_docs.py"


def test_the_area_is_the_statistic_of_mann_and_whitney():
    random = np.random.default_rng(0)
    positive, negative = random.integers(0, 9, 60) + 2, random.integers(0, 9, 400)
    expected = mannwhitneyu(positive, negative).statistic / (60 * 400)
    assert auroc(positive, negative) == pytest.approx(expected, abs=1e-12)
    assert auroc(np.array([3, 4]), np.array([1, 2])) == 1
    assert auroc(np.array([1, 2]), np.array([3, 4])) == 0
    assert auroc(np.array([1, 1]), np.array([1, 1, 1])) == 0.5
    # the example that textbooks give: scores .1 .4 .35 .8 of labels 0 0 1 1
    assert auroc(np.array([0.35, 0.8]), np.array([0.1, 0.4])) == 0.75


@pytest.mark.parametrize("key", MAPS)
def test_bad_is_high_for_every_map(key):
    entry = MAPS[key]
    best, worst = entry.limits or (0.0, 1.0)
    values = np.full((64, 64), best)
    values[20:40, 20:40] = worst
    if entry.classes:
        values = values.astype(np.uint8)
    else:
        values[50, 50] = np.nan
    bad = orient_and_smooth(key, values)
    assert np.isfinite(bad).all()
    assert bad[30, 30] > bad[5, 5]


def test_an_improvement_is_not_bad():
    classes = np.zeros((64, 64), np.uint8)
    classes[:, 32:] = 1
    assert not orient_and_smooth("change", classes).any()


def maps(**worse):
    """Return maps of noise, worse by so much in a square for some maps."""
    random = np.random.default_rng(1)
    found = {}
    for key in ("ssim", "gradient", "residual", "null_space"):
        values = random.standard_normal((128, 128))
        values[40:60, 40:60] += worse.get(key, 0)
        found[key] = values
    return found


MASK = np.zeros((128, 128), bool)
MASK[40:60, 40:60] = True


def test_blind_maps_score_half_and_the_union_sees_what_one_of_them_does():
    found = detect(maps(residual=9), maps(), mask=MASK, touched=MASK)
    assert found["residual"] == pytest.approx((1, 1), abs=1e-3)
    for key in ("ssim", "gradient", "null_space"):
        assert found[key] == pytest.approx((0.5, 0.5), abs=0.06)
    assert found["union"][0] > 0.99
    assert found["union without"][0] > 0.99
    assert found["union with reference"] == pytest.approx((0.5, 0.5), abs=0.08)


def test_a_map_that_is_always_bad_there_finds_but_does_not_see():
    always = maps(ssim=9)
    found, seen = detect(always, always, mask=MASK, touched=MASK)["ssim"]
    assert found == pytest.approx(1, abs=1e-3)
    assert seen == 0.5


def test_the_rest_keeps_away_from_what_was_touched():
    spread = maps()
    spread["ssim"][35:40, 40:60] = 99  # the fringe of the fault
    found = detect(spread, spread, mask=MASK, touched=MASK)
    assert found["ssim"][0] == pytest.approx(0.5, abs=0.06)


def test_no_unit_decides_the_union():
    plain = maps(residual=9)
    scaled = {key: 1000 * v + 5 if key == "ssim" else v for key, v in plain.items()}
    np.testing.assert_allclose(combine_maps(scaled), combine_maps(plain))


def test_tables_average_planes_before_sources():
    outcome = Detections()
    for source, values in {"cells": (1.0, 0.5), "alloy": (0.25,)}.items():
        outcome.rows += [
            Found(source, f"{n}", fault, visible, key, value, 0.5)
            for n, value in enumerate(values)
            for fault in FAULTS
            for visible in (True, False)
            for key in ("ssim", *UNIONS)
        ]
    assert outcome.mean("ssim", FAULTS[0], visible=True) == (0.5, 0.5)
    assert outcome.mean("ssim", FAULTS[0], visible=True, source="cells")[0] == 0.75
    text = "\n".join(format_faults(outcome))
    assert text.count("| `ssim` | 0.50 / 0.50 |") == 4  # two tables of few columns each
    assert f"| {FAULTS[-1]} | 0.50 / 0.50 | 0.50 / 0.50 | 0.50 / 0.50 |" in text
    assert "| alloy | 0.25" in text
    assert outcome.maps == ("ssim", *UNIONS)


def test_the_command_writes_tables_and_figures(tmp_path):
    import imageio.v3

    from napari_structsr.benchmark.phantoms import draw_filaments

    folder = tmp_path / "data" / "drawn"
    folder.mkdir(parents=True)
    plane = (255 * draw_filaments(side=160)).astype(np.uint8)
    imageio.v3.imwrite(folder / "a.png", plane)
    imageio.v3.imwrite(folder / "b.png", plane[:60, :60])
    out = tmp_path / "out"
    words = ["--data", str(folder.parent), "--out", str(out), "--device"]
    few = ["--planes", "2", "--kinds", "textured patch"]
    done = CliRunner().invoke(app, [*words, "cpu", *few])
    assert done.exit_code == 0, done.output
    assert "too small" in done.stderr
    text = (out / "faults.md").read_text(encoding="utf-8")
    assert "2 planes" in text
    assert "Left out" in text
    with (out / "faults.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["fault"] for row in rows} == {"textured patch"}
    blind = [row["seen"] for row in rows if row["map"] == "spread"]
    assert set(blind) == {"0.5000"}
    assert (out / "faults-drawn.png").stat().st_size > 10_000
    refused = CliRunner().invoke(app, [*words, "cpu", "--track", "x3"])
    assert refused.exit_code == 1
    assert "x2-mild" in refused.output
    refused = CliRunner().invoke(app, [*words, "cpu", "--kinds", "scratch"])
    assert refused.exit_code == 1
    assert "drawn filament" in refused.output


def test_the_section_of_the_docs_is_replaced_and_the_rest_stays():
    spec = importlib.util.spec_from_file_location("fault_docs", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    report = "# Planted faults\n\n2 planes.\n\n## Visible faults\n\n| a |\n"
    larger = report.replace("| a |", "| b |")
    template = (
        "## Found\n\n[[conditions]]\n[[Visible faults]]\n[[x4: Visible faults]]\n"
    )
    section = script.fill_template(template, report, larger)
    assert section == "## Found\n\n2 planes.\n| a |\n| b |\n"
    page = "# Page\n\n## Found\n\nold\n\n### part\n\nold\n\n## Last\n\nkept\n"
    expected = "# Page\n\n" + section + "\n## Last\n\nkept\n"
    assert script.replace_section(page, section) == expected
    assert script.replace_section(expected, section) == expected
    assert script.replace_section("", section) == section
    with pytest.raises(SystemExit, match="Hidden"):
        script.fill_template("[[Hidden]]", report, larger)
