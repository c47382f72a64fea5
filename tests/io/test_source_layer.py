import dask.array as da
import numpy as np
import pytest
import zarr

from napari_structsr.core.axes import Axis, Channel
from napari_structsr.errors import SettingsError, SourceError
from napari_structsr.io.open import open_source

layers = pytest.importorskip("napari.layers")


@pytest.fixture
def stack(rng):
    return rng.integers(0, 4000, (4, 32, 40), np.uint16)


def test_image_layer(stack, whole):
    layer = layers.Image(
        stack,
        name="nuclei",
        scale=(0.5, -0.2, 100),
        translate=(1, 2, 3),
        units=("um", "um", "nm"),
        contrast_limits=(10, 200),
        colormap="magenta",
    )
    source = open_source(layer)
    assert source.spec.axes.items == (
        Axis("z", 4, 0.5, 1.0, "micrometer"),
        Axis("y", 32, -0.2, 2.0, "micrometer"),
        Axis("x", 40, 100.0, 3.0, "nanometer"),
    )
    assert source.spec.channels == (Channel("nuclei", "FF00FF", (10.0, 200.0)),)
    assert source.spec.name == "nuclei"
    assert source.origin == "napari layer 'nuclei'"
    assert (whole(source)[:, 0] == stack).all()


@pytest.mark.parametrize(
    ("shape", "labels", "names"),
    [
        ((8, 9), None, "yx"),
        ((7, 8, 9), None, "zyx"),
        ((1, 8, 9), None, "zyx"),
        ((6, 7, 8, 9), None, "tzyx"),
        ((5, 6, 7, 8, 9), None, "tczyx"),
        ((7, 8, 9), ("Time", "Y", "X"), "tyx"),
        ((7, 8, 9), ("Channel", "foo", "bar"), "cyx"),
        ((7, 8, 9), ("x", "y", "z"), "xyz"),
    ],
)
def test_axes_of_a_layer(shape, labels, names):
    options = {"axis_labels": labels} if labels else {}
    layer = layers.Image(np.zeros(shape, np.uint16), **options)
    spec = open_source(layer).spec
    assert spec.axes.names == names
    assert spec.axes.shape == shape
    assert {axis.unit for axis in spec.axes.items} == {None}


def test_axes_of_the_user(stack):
    axes = open_source(layers.Image(stack, scale=(5, 1, 1)), axes="tyx").spec.axes
    assert axes["t"] == Axis("t", 4, 5.0)


def test_an_axis_c_has_the_display_of_the_layer_for_each_channel(stack):
    layer = layers.Image(
        stack, axis_labels=("c", "y", "x"), contrast_limits=(0, 9), colormap="viridis"
    )
    assert open_source(layer).spec.channels == (Channel(window=(0.0, 9.0)),) * 4


def test_rgb_layer(rng, whole, canonical):
    array = rng.integers(0, 255, (2, 32, 40, 3), np.uint8)
    layer = layers.Image(array, rgb=True, scale=(3, 2, 1))
    source = open_source(layer)
    assert source.spec.axes.names == "zyxs"
    assert [axis.scale for axis in source.spec.axes.items] == [3.0, 2.0, 1.0, 1.0]
    assert source.spec.channels == ()
    assert (whole(source) == canonical(array, "zyxs")).all()


def test_a_coarser_level_keeps_the_edges(stack, whole):
    levels = [da.from_array(stack[:, ::n, ::n], chunks=(1, 8, 8)) for n in (1, 2)]
    layer = layers.Image(levels, multiscale=True, scale=(1, 0.5, 0.25))
    source = open_source(layer, level=1)
    assert source.spec.axes["z"] == Axis("z", 4)
    assert source.spec.axes["y"] == Axis("y", 16, 1.0, 0.25)
    assert source.spec.axes["x"] == Axis("x", 20, 0.5, 0.125)
    assert (whole(source)[:, 0] == stack[:, ::2, ::2]).all()
    with pytest.raises(SettingsError, match="levels 0 to 1, not 2"):
        open_source(layer, level=2)


@pytest.mark.parametrize(
    "layer",
    [layers.Points(np.zeros((3, 2))), layers.Labels(np.zeros((8, 9), int))],
    ids=["points", "labels"],
)
def test_other_layers(layer):
    with pytest.raises(SourceError, match="pick an image layer"):
        open_source(layer)


def test_the_layer_of_an_unfinished_store_is_refused(tmp_path, stack):
    group = zarr.create_group(
        tmp_path / "a.ome.zarr", attributes={"structsr": {"status": "partial"}}
    )
    group.create_array("0", data=stack, chunks=(1, 16, 20))
    from napari.layers._source import layer_source

    with layer_source(path=str(tmp_path / "a.ome.zarr" / "0")):
        layer = layers.Image(stack)
    with pytest.raises(SourceError, match=r"unfinished result.*resume and finish"):
        open_source(layer)
    group.attrs["structsr"] = {"status": "finished"}
    assert open_source(layer).spec.axes.names == "zyx"
