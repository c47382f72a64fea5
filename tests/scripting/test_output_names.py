"""Names of results, and which images belong together by their names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_structsr.errors import SettingsError
from napari_structsr.scripting.name_matching import match_names
from napari_structsr.scripting.output import name_folders, name_outputs

WORDS = st.sampled_from(["a", "A", "a-2", "b", "b.ome", "c?", "...", "in", " "])
PATHS = st.tuples(
    st.sampled_from(["", "in", "more", "in/deep"]),
    WORDS,
    st.sampled_from([".tif", ".TIF", ".ome.tif", ".ome.zarr", ""]),
).map(lambda parts: f"{parts[0]}/{parts[1]}{parts[2]}")


@given(st.lists(PATHS, max_size=8), st.lists(WORDS, max_size=4))
def test_no_two_results_have_one_name(paths, names):
    images = [(path, "") for path in dict.fromkeys(paths)] + [("", n) for n in names]
    found = name_outputs(images, Path("out"), label="x2", kind="zarr")
    assert len({str(path).casefold() for path in found}) == len(images)
    assert all(path.parent == Path("out") for path in found)
    assert found == name_outputs(images, Path("out"), label="x2", kind="zarr")


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["in/cells.ome.tif", "in/a.b.tif"], ["cells", "a.b"]),
        (["in/a.tif", "more/a.tif"], ["in-a", "more-a"]),
        (["in/a.tif", "in/a.zarr"], ["in-a-tif", "in-a-zarr"]),
    ],
)
def test_names_are_told_apart_by_folder_then_by_ending(images, names):
    assert [path.name for path in name_folders(images, Path("out"))] == names


@pytest.mark.parametrize(
    ("result", "other"),
    [
        ("cells-x2.ome.zarr", "cells.tif"),
        ("cells_x4.ome.tif", "cells.ome.tif"),
        ("cells.tif", "cells.tif"),
        ("cells-x2.ome.zarr", "cells_true.tif"),
        ("cells 2x.tif", "Cells.tif"),
        ("cells-sharp-x2.tif", "cells.tif"),
        ("plate-1-x2.tif", "plate-1.tif"),
    ],
)
def test_images_belong_together_by_name(tmp_path, result, other):
    # of these none is the one, though they begin alike
    for name in (other, "cell.tif", "cells2.tif", "plate.tif", "plate-11.tif"):
        (tmp_path / name).touch()
    found = match_names([f"results/{result}"], str(tmp_path), what="source")
    assert found == [str(tmp_path / other)]


def test_results_without_a_partner_are_named(tmp_path):
    for name in ("a.tif", "b.tif", "b.ome.tif"):
        (tmp_path / name).touch()
    with pytest.raises(SettingsError, match=r"2 have not one source.*b-x2.*\(2\), c"):
        match_names(["a-x2.tif", "b-x2.tif", "c.tif"], str(tmp_path), what="source")
    one = str(tmp_path / "a.tif")
    assert match_names(["anything.tif"], one, what="reference") == [one]
