"""Scores as a user reads them: sorted, rounded and exported."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from qtpy.QtCore import Qt

from napari_structsr.gui.inspect.legend import ColorBar, Legend
from napari_structsr.gui.inspect.score_tab import collect_lines, find_plot_axes
from napari_structsr.gui.inspect.score_table import ScoreTableView, WorstTable
from napari_structsr.gui.widgets.controls import format_number
from napari_structsr.inspection.results import WHOLE, ScoreRow, ScoreTable, WorstRegion

ROWS = tuple(
    ScoreRow(
        {"c": c, "z": z},
        ("DAPI", "actin")[c],
        region,
        5000,
        {
            "psnr": 30.123456 + 3 * z - 10 * c,
            "ssim": None if region != WHOLE else 0.98765432 - z / 10,
            "residual": 1.5e-5,
        },
    )
    for c in range(2)
    for z in range(3)
    for region in (WHOLE, "nucleus")
)
TABLE = ScoreTable(ROWS)


@pytest.fixture
def view(qtbot):
    view = ScoreTableView()
    qtbot.addWidget(view)
    view.show_table(TABLE)
    return view


def column(view, title: str) -> int:
    model = view.model()
    titles = [
        model.headerData(n, Qt.Orientation.Horizontal, Qt.ItemDataRole.DisplayRole)
        for n in range(model.columnCount())
    ]
    return titles.index(title)


def test_every_number_is_there_with_the_digits_that_matter(view):
    texts = view.texts()

    assert len(texts) == len(ROWS)
    assert texts[0][:4] == ["0", "0", "DAPI", WHOLE]
    assert texts[0][column(view, "PSNR")] == "30.1"
    assert texts[0][column(view, "SSIM")] == "0.988"
    assert texts[1][column(view, "SSIM")] == ""  # a region has none


def test_numbers_stand_right_and_headers_explain(view):
    model = view.model()
    place = model.index(0, column(view, "PSNR"))
    align = place.data(Qt.ItemDataRole.TextAlignmentRole)
    tip = model.headerData(
        column(view, "PSNR"), Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole
    )

    assert align & Qt.AlignmentFlag.AlignRight
    assert "signal-to-noise" in tip


def test_sorting_goes_by_value_and_keeps_what_is_missing_last(view):
    ssim, psnr = column(view, "SSIM"), column(view, "PSNR")

    view.sortByColumn(psnr, Qt.SortOrder.AscendingOrder)
    values = [float(row[psnr]) for row in view.texts()]
    assert values == sorted(values)

    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        view.sortByColumn(ssim, order)
        texts = [row[ssim] for row in view.texts()]
        assert texts[6:] == [""] * 6
        assert "" not in texts[:6]


def test_columns_that_say_nothing_are_hidden(view):
    assert not view.isColumnHidden(column(view, "region"))

    view.show_table(ScoreTable(ROWS[:1]))

    assert view.isColumnHidden(column(view, "region"))
    assert view.isColumnHidden(column(view, "channel"))


def test_a_click_tells_the_row_also_when_sorted(view, qtbot):
    view.sortByColumn(column(view, "PSNR"), Qt.SortOrder.DescendingOrder)
    with qtbot.waitSignal(view.chosen) as caught:
        view.clicked.emit(view.model().index(0, 0))

    assert caught.args[0].plane == {"c": 0, "z": 2}


def test_csv_holds_all_digits(view, tmp_path: Path):
    path = tmp_path / "scores.csv"
    view.sortByColumn(column(view, "PSNR"), Qt.SortOrder.DescendingOrder)

    view.save_csv(path)

    assert path.read_text() == TABLE.to_csv()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert float(rows[0]["psnr"]) == pytest.approx(30.123456)
    assert rows[1]["ssim"] == ""


def test_lines_follow_an_axis_for_each_region_and_channel():
    assert find_plot_axes(TABLE) == ("z", "c")

    lines = collect_lines(TABLE, "psnr", "z", {"z": 1, "c": 0})
    assert set(lines) == {
        f"{region}, {channel}"
        for region in (WHOLE, "nucleus")
        for channel in ("DAPI", "actin")
    }
    actin = lines[f"{WHOLE}, actin"]
    assert [x for x, _ in actin] == [0, 1, 2]
    assert [y for _, y in actin] == pytest.approx([20.123456, 23.123456, 26.123456])

    along_c = collect_lines(TABLE, "psnr", "c", {"z": 2})
    assert [y for _, y in along_c["nucleus"]] == pytest.approx([36.123456, 26.123456])
    assert set(collect_lines(TABLE, "ssim", "c", {"z": 2})) == {WHOLE}


def test_worst_list_shows_places_and_tells_the_chosen_one(qtbot):
    places = [
        WorstRegion("error", {"z": 2}, (64, 128), (0, 64), 812.5),
        WorstRegion("error", {"z": 0}, (0, 64), (64, 100), 12.25),
    ]
    worst = WorstTable()
    qtbot.addWidget(worst)
    worst.show_places("error", places)

    shown = [worst.item(0, n).text() for n in range(worst.columnCount())]
    assert shown == ["1", "812", "2", "96", "32"]
    with qtbot.waitSignal(worst.chosen) as caught:
        worst.setCurrentCell(1, 0)
    assert caught.args == [places[1]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (0.0, "0"),
        (0.98765, "0.988"),
        (31.4159, "31.4"),
        (1234.56, "1235"),
        (0.00001234, "1.23e-05"),
        (1234567.0, "1.23e+06"),
    ],
)
def test_numbers_are_short(value, text):
    assert format_number(value) == text


def test_legend_has_numbers_or_names(qtbot):
    from napari_structsr.core.error_map import MAPS

    bar = ColorBar()
    qtbot.addWidget(bar)
    bar.show_map(MAPS["ssim"], (1.0, 0.0), 0.4)
    assert bar.texts == ("1", "0.5", "0")
    bar.grab()
    bar.show_map(MAPS["change"], (0.0, 3.0), 0.0)
    assert bar.texts == MAPS["change"].classes
    bar.grab()


def test_legend_says_for_which_images_an_interval_is_meant(qtbot):
    from napari_structsr.zoo.catalogue import find_card

    calibration = find_card("faithful", factor=2).calibration
    legend = Legend()
    qtbot.addWidget(legend)
    legend.show_map("interval", (0.0, 1.0), 0.5, calibration=calibration)
    assert "images like those of the calibration" in legend.text.text()
    shares = {"left_out": {"nuclei": 0.874, "actin": 0.962}}
    told = calibration.model_copy(update=shares)
    legend.show_map("interval", (0.0, 1.0), 0.5, calibration=told)
    text = legend.text.text()
    assert "2 sources that the fit had not seen, 87% to 96%" in text
