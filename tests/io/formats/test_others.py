"""Readers of other packages: asked by their entry points, held to the same rules."""

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.core.axes import Axis, ImageSpec
from napari_structsr.errors import SourceError
from napari_structsr.io.arrays import ArraySource, make_spec
from napari_structsr.io.open import list_names, open_source
from napari_structsr.io.units import Step, make_axes

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
# the example of the page, and a reader that fails
READER = (
    PAGE.read_text("utf-8").partition("```python")[2].partition("```")[0]
    + "\n\ndef fail(path):\n    raise ValueError('no such thing')\n"
)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package with a reader."""
    site = tmp_path / "site"
    (site / "raw8-1.0.dist-info").mkdir(parents=True)
    (site / "raw8.py").write_text(READER)
    (site / "raw8-1.0.dist-info" / "METADATA").write_text("Name: raw8\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)

    def write(line):
        text = f"[napari_structsr.readers]\n{line}\n"
        (site / "raw8-1.0.dist-info" / "entry_points.txt").write_text(text)

    yield write
    sys.modules.pop("raw8", None)


@pytest.fixture
def path(tmp_path, rng):
    path = tmp_path / "cells.raw8"
    rng.integers(0, 250, (2, 20, 24), np.uint8).tofile(path)
    return path


def test_a_reader_is_asked_for_what_nothing_else_reads(path, install, whole):
    with pytest.raises(SourceError, match="page Formats"):
        open_source(path)
    install("raw8 = raw8:read")
    assert list_names(str(path)) == ("first", "second")
    source = open_source(path, series="second")
    pixels = np.fromfile(path, np.uint8).reshape(2, 20, 24)
    assert (whole(source)[0] == pixels[1]).all()
    assert (source.spec.name, source.origin) == ("cells second", str(path))
    again = open_source(source.origin, **source.options)
    assert (whole(again) == whole(source)).all()
    out = path.with_name("out.ome.zarr")
    words = ["upscale", str(path), str(out), "--model", "bicubic", "--series", "1"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output


def test_a_source_keeps_its_axes(path, install, whole, monkeypatch):
    install("raw8 = raw8:read")
    import raw8

    pixels = np.zeros((20, 24), np.uint8)
    axes = make_axes("yx", pixels.shape, {"x": Step(0.5, 0.0, "micrometer")})
    spec: ImageSpec = make_spec("mine", axes, pixels.dtype)
    source = ArraySource(pixels, spec, names="yx", origin="raw8")
    monkeypatch.setattr(raw8, "read", lambda path: source)
    found = open_source(path)
    assert found.spec.axes["x"] == Axis("x", 24, 0.5, 0.0, "micrometer")
    with pytest.raises(SourceError, match="takes no axes"):
        open_source(path, axes="xy")


def test_a_reader_that_fails_is_named(path, install, caplog):
    install("bad = raw8:fail")
    with pytest.raises(SourceError, match=r"bad cannot read .*no such thing"):
        open_source(path)
    install("gone = raw9:read")
    with pytest.raises(SourceError, match="not an image of a kind"):
        open_source(path)
    assert "the reader gone cannot be loaded" in caplog.text
    install("odd = raw8:str")
    with pytest.raises(SourceError):
        open_source(path)


def test_no_reader_is_asked_for_what_is_read_here(path, install):
    install("bad = raw8:fail")
    np.save(path.with_name("a.npy"), np.zeros((4, 4)))
    open_source(path.with_name("a.npy"))
