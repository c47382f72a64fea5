"""Plain images as OME-Zarr."""

import numpy as np
import pytest
import zarr

from napari_structsr import Cancel, OmeZarrSink, iter_upscale, load_model, open_source
from napari_structsr.engine.events import Progressed
from napari_structsr.errors import SinkError
from napari_structsr.io.ome_zarr.image_writer import write_image


def test_pixels_come_back_unchanged_and_without_a_record(stack, tmp_path):
    path = write_image(open_source(stack, axes="czyx"), tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(zarr.open_array(path / "0")[:], stack)
    assert "structsr" not in zarr.open_group(path).attrs
    assert open_source(path).spec.axes.names == "czyx"


def test_an_unfinished_run_in_the_way_is_kept(stack, tmp_path):
    source, cancel = open_source(stack, axes="czyx"), Cancel()
    path = tmp_path / "a.ome.zarr"
    for event in iter_upscale(
        source, load_model("bicubic"), OmeZarrSink(path), cancel=cancel
    ):
        if isinstance(event, Progressed):
            cancel()
    with pytest.raises(SinkError, match="another name"):
        write_image(source, path)
    assert zarr.open_group(path).attrs["structsr"]["status"] == "partial"
