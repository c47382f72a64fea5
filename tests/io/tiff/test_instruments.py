"""Pixel sizes and channels of TIFF files as instruments write them."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_structsr.core.axes import Axis, Channel
from napari_structsr.core.optics import Optics
from napari_structsr.io.open import open_source
from napari_structsr.io.tiff.instruments import read_instrument
from napari_structsr.io.units import Step

METASERIES = """<MetaData><PlaneInfo>
<prop id="spatial-calibration-state" type="bool" value="on"/>
<prop id="spatial-calibration-x" type="float" value="0.65"/>
<prop id="spatial-calibration-y" type="float" value="0.7"/>
<prop id="spatial-calibration-units" type="string" value="um"/>
<prop id="wavelength" type="float" value="536"/>
<custom-prop id="_MagNA_" type="float" value="0.75"/>
<custom-prop id="_IllumSetting_" type="string" value="FITC"/>
<custom-prop id="IXConfocal Module Disk" type="string" value="{disk}"/>
</PlaneInfo></MetaData>"""


def text_tag(code, text):
    return (code, 2, len(text) + 1, text, True)


def write(path, rng, *, tags=(), **options):
    pixels = rng.integers(0, 4000, (24, 32), np.uint16)
    tifffile.imwrite(path, pixels, metadata=None, extratags=tags, **options)
    return open_source(path).spec


@pytest.mark.parametrize(("disk", "confocal"), [("IN - 60 um", True), ("OUT", False)])
def test_metaseries(tmp_path, rng, disk, confocal):
    spec = write(
        tmp_path / "a.tif",
        rng,
        description=METASERIES.format(disk=disk),
        software="MetaSeries",
    )
    assert spec.axes["x"] == Axis("x", 32, 0.65, 0.0, "micrometer")
    assert spec.axes["y"] == Axis("y", 24, 0.7, 0.0, "micrometer")
    optics = Optics(0.75, 0.536, confocal=confocal)
    assert spec.channels == (Channel("FITC", optics=optics),)


@pytest.mark.parametrize(("size", "unit", "micrometres"), [(12.5, "nm", 0.0125)])
def test_an_electron_microscope_of_zeiss(tmp_path, rng, size, unit, micrometres):
    text = f"0\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {size} {unit}\r\n"
    spec = write(tmp_path / "a.tif", rng, tags=[text_tag(34118, text)])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.sem_metadata["ap_image_pixel_size"][1:] == (size, unit)
    assert spec.axes["x"].scale == pytest.approx(micrometres)
    assert spec.axes["x"].unit == "micrometer"


def test_an_electron_microscope_of_fei(tmp_path, rng):
    text = "[Scan]\r\nPixelWidth=2.5e-09\r\nPixelHeight=3e-09\r\n"
    spec = write(tmp_path / "a.tif", rng, tags=[text_tag(34682, text)])
    assert spec.axes["x"].scale == pytest.approx(0.0025)
    assert spec.axes["y"].scale == pytest.approx(0.003)


def make(kind, **tags):
    """Return what has the members of a TiffFile that are used."""
    kinds = dict.fromkeys(("is_lsm", "is_stk", "is_metaseries", "is_sem", "is_fei"))
    return SimpleNamespace(**kinds | {f"is_{kind}": True, f"{kind}_metadata": tags})


def test_lsm_as_tifffile_gives_it():
    # real ones are compared by benchmarks/formats.py
    colors = {"Colors": [[0, 0, 255, 0], [0, 0, 0, 0]], "ColorNames": ["Ch1", "T"]}
    tags = {"VoxelSizeX": 1e-7, "VoxelSizeY": 2e-7, "VoxelSizeZ": 0.0}
    tags |= {"TimeIntervall": 3.5, "ChannelColors": colors}
    steps, channels = read_instrument(make("lsm", **tags))
    assert steps == {
        "x": Step(pytest.approx(0.1), 0.0, "micrometer"),
        "y": Step(pytest.approx(0.2), 0.0, "micrometer"),
        "t": Step(3.5, 0.0, "second"),
    }
    assert channels == (Channel("Ch1", "0000FF"), Channel("T"))


def test_stk_as_tifffile_gives_it():
    tags = {"XCalibration": 0.645, "YCalibration": 0.645, "CalibrationUnits": "um"}
    tags |= {"Name": "Cy5", "ZDistance": np.array([0.3, 0.3])}
    steps, channels = read_instrument(make("stk", **tags))
    assert steps["z"] == Step(0.3, 0.0, "micrometer")
    assert channels == (Channel("Cy5"),)
    # pixels are no unit of length
    steps, _ = read_instrument(make("stk", **tags | {"CalibrationUnits": "pixel"}))
    assert steps == {}


@pytest.mark.parametrize("kind", ["lsm", "stk", "metaseries", "sem", "fei"])
def test_tags_that_say_nothing_are_no_metadata(kind):
    found = read_instrument(make(kind))
    assert not found or found == ({}, (Channel(),))
