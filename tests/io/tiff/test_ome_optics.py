"""Objective and light, as OME-XML names them."""

import numpy as np
import pytest
import tifffile

from napari_structsr.core.optics import Optics
from napari_structsr.io.open import open_source

XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0">
  <Objective ID="Objective:0" LensNA="0.3"/><Objective ID="Objective:1" LensNA="1.4"/>
</Instrument>
<Image ID="Image:0"><InstrumentRef ID="Instrument:0"/>
<ObjectiveSettings ID="Objective:1"/>
<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="6" SizeZ="1"
 SizeC="2" SizeT="1" PhysicalSizeX="0.1" PhysicalSizeY="0.1">
<Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1" EmissionWavelength="461"/>
<Channel ID="Channel:0:1" Name="GFP" SamplesPerPixel="1" EmissionWavelength="0.51"
 EmissionWavelengthUnit="µm" AcquisitionMode="LaserScanningConfocalMicroscopy"/>
<TiffData/></Pixels></Image></OME>"""


def open_xml(folder, xml):
    path = folder / "cells.ome.tif"
    pixels = np.arange(96, dtype=np.uint8).reshape(2, 6, 8)
    tifffile.imwrite(path, pixels, description=xml.encode(), metadata=None)
    return open_source(path)


def test_objective_in_use_and_light_of_each_channel(tmp_path):
    dapi, gfp = open_xml(tmp_path, XML).spec.channels
    assert dapi.optics == Optics(1.4, pytest.approx(0.461))
    assert gfp.optics == Optics(1.4, pytest.approx(0.51), confocal=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('LensNA="1.4"', ""),
        ('LensNA="1.4"', 'LensNA="0.0"'),
        ('LensNA="1.4"', 'LensNA="140"'),
        ('LensNA="1.4"', 'LensNA="oil"'),
        ('EmissionWavelength="461"', ""),
        ('EmissionWavelength="461"', 'EmissionWavelength="nan"'),
        ('EmissionWavelength="461"', 'EmissionWavelength="-1"'),
    ],
)
def test_what_is_missing_or_no_number_is_unknown(tmp_path, old, new):
    dapi, _ = open_xml(tmp_path, XML.replace(old, new)).spec.channels
    assert dapi.name == "DAPI"
    assert dapi.optics is None
