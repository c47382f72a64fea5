import subprocess
import sys

import pytest

from napari_structsr.io.units import convert_unit, find_unit_name


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("um", "micrometer"),
        ("\u00b5m", "micrometer"),
        ("\u03bcm", "micrometer"),
        ("\\u00B5m", "micrometer"),
        ("micron", "micrometer"),
        ("Microns", "micrometer"),
        ("micrometre", "micrometer"),
        ("nm", "nanometer"),
        ("mm", "millimeter"),
        ("Mm", "megameter"),
        ("cm", "centimeter"),
        ("\u00c5", "angstrom"),
        ("inch", "inch"),
        ("s", "second"),
        ("sec", "second"),
        ("ms", "millisecond"),
        ("min", "minute"),
        ("hours", "hour"),
        ("pixel", None),
        ("reference frame", None),
        ("", None),
        (None, None),
    ],
)
def test_units_become_udunits_names(word, name):
    assert find_unit_name(word) == name


def test_lengths_and_times_convert_among_themselves():
    assert convert_unit(1.5, "millimeter", "micrometer") == pytest.approx(1500)
    assert convert_unit(2, "inch", "centimeter") == pytest.approx(5.08)
    assert convert_unit(2, "hour", "second") == pytest.approx(7200)
    assert convert_unit(2, "hour", "meter") is None
    assert convert_unit(2, None, "meter") is None


def test_importing_the_readers_is_cheap_and_knows_no_napari():
    code = """if True:
        import sys
        import napari_structsr.io.open
        heavy = {"zarr", "tifffile", "dask", "yaozarrs"} & sys.modules.keys()
        import napari_structsr.io.layer_source
        import napari_structsr.io.tiff.series
        import napari_structsr.io.ome_zarr.reader
        found = heavy | {"napari", "qtpy"} & sys.modules.keys()
        sys.exit(str(found) if found else 0)
    """
    run = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert (run.stderr, run.returncode) == ("", 0)
