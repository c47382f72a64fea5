"""PNG, JPEG and NPY: pixels as Pillow and numpy have them, and nothing unpickled."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.errors import SourceError, StructsrError
from napari_structsr.io.open import list_names, open_source


@pytest.fixture
def colours(rng):
    return rng.integers(0, 250, (20, 24, 3), np.uint8)


def test_png_in_grey_and_in_colour(tmp_path, rng, colours, whole):
    deep = rng.integers(0, 60000, (20, 24), np.uint16)
    pictures = {"rgb": colours, "grey": colours[..., 0], "deep": deep}
    for name, pixels in pictures.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        source = open_source(path)
        assert source.spec.dtype == pixels.dtype
        assert source.spec.axes.names == ("yxs" if pixels.ndim == 3 else "yx")
        assert source.spec.axes["x"].unit is None
        expected = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]
        assert (whole(source) == expected).all()
        assert list_names(str(path)) == ("0",)


def test_png_with_opacity_or_a_palette(tmp_path, colours, whole):
    grey = Image.fromarray(colours[..., 0])
    opacity = Image.merge("LA", (grey, grey))
    opacity.save(tmp_path / "la.png")
    assert (whole(open_source(tmp_path / "la.png"))[0] == colours[..., 0]).all()
    palette = Image.fromarray(colours).quantize(16)
    palette.save(tmp_path / "p.png")
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert (whole(open_source(tmp_path / "p.png")) == expected).all()


def test_jpeg_as_pillow_reads_it(tmp_path, colours, whole):
    path = tmp_path / "a.jpg"
    Image.fromarray(colours).save(path, quality=95)
    expected = np.asarray(Image.open(path)).transpose(2, 0, 1).astype(int)
    # decoders round differently
    assert np.abs(whole(open_source(path)) - expected).max() <= 2


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_numpy_is_mapped(tmp_path, rng, whole, order):
    pixels = rng.normal(size=(3, 20, 24)).astype(np.float32)
    path = tmp_path / "a.npy"
    np.save(path, np.asarray(pixels, order=order))
    source = open_source(path)
    assert source.spec.axes.names == "zyx"
    assert (whole(source)[:, 0] == pixels).all()
    assert open_source(path, axes="tyx").spec.axes.names == "tyx"
    np.save(path, pixels[::-1])
    with pytest.raises(SourceError, match="changed"):
        source.read((0,), slice(0, 20), slice(0, 24))


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[{}, {}]] * 2, dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match=r"a\.npy"):
        open_source(path)


def make_bomb():
    """Return a PNG of a few bytes that says it has 30000 x 30000 pixels."""

    def chunk(kind, data):
        sum_ = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", sum_)

    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def test_pictures_that_ask_for_too_much_or_are_damaged_are_refused(tmp_path, colours):
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "PNG")
    data = file.getvalue()
    for name, content in {
        "bomb": make_bomb(),
        "short": data[: len(data) // 2],
        "head": data[:10],
        "jpeg": b"\xff\xd8\xff\xe0" + bytes(40),
    }.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        with pytest.raises(StructsrError, match=name):
            open_source(path)


def test_a_picture_is_upscaled(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "a.png")
    out = tmp_path / "out.ome.tif"
    words = ["upscale", str(tmp_path / "a.png"), str(out), "--model", "bicubic"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    assert open_source(out).spec.axes.plane == (40, 48)
