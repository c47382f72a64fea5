"""The readers of the project, each as a `Family` of files that it may be given."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.faults_campaign.odd_files import (
    Family,
    change_bytes,
    change_description,
    change_json,
    change_tag,
)
from napari_structsr.core.axes import Channel
from napari_structsr.core.record import Record
from napari_structsr.engine.provenance import find_record, find_source
from napari_structsr.inspection.told_optics import find_told, find_widths
from napari_structsr.io.open import open_source
from napari_structsr.io.records import read_record
from napari_structsr.zoo.shipped import WEIGHTS

_SHIPPED = WEIGHTS / "faithful-x2"


def read_image(path: Path) -> None:
    """Open an image, read a corner of its first and last plane, and its record."""
    for status in (read_record(path)[1], None):
        if status is not None:
            status.command("OUT")
            status.find_differences(status)
    source = open_source(str(path))
    try:
        planes = list(itertools.islice(source.spec.axes.planes(), 3))
        height, width = source.spec.axes.plane
        area = slice(0, min(height, 64)), slice(0, min(width, 64))
        for plane in planes:
            source.read(plane, *area)
        record = find_record(source)
        find_source(record)
        find_widths(record, (), count=2)
        find_told(record, count=2)
    finally:
        if close := getattr(source, "close", None):
            close()


def _make_pixels() -> Any:
    values = np.random.default_rng(0).integers(0, 4000, (2, 3, 48, 40))
    return values.astype(np.uint16)


def _make_record(origin: str = "/nowhere/b.tif") -> Record:
    from napari_structsr.core.intensity import Intensity

    source = {
        "origin": origin,
        "name": "a",
        "axes": "czyx",
        "shape": [2, 3, 48, 40],
        "dtype": "uint16",
        "options": {"channels": [0, 1]},
    }
    model = {"name": "bicubic", "factor": 2, "sha256": None, "psf_sigma": 0.4}
    model["optics"] = [{"psf_sigma": 0.6, "noise": 0.01}] * 2
    settings = {"agreement": "off", "tile": 64, "confocal": False}
    ranges = (Intensity(0.0, 4000.0), Intensity(0.0, 4000.0, 1.0, 2.0))
    return Record(source, model, settings, ranges, (0.1, 0.1), "cpu", {"numpy": "2"})


def _make_tiff(folder: Path, **options: Any) -> Path:
    path = folder / "a.tif"
    tifffile.imwrite(path, _make_pixels()[0], **options)
    return path


def _make_ome_tiff(folder: Path) -> Path:
    from napari_structsr.io.tiff.writer import make_ome_entries

    spec = open_source(_make_pixels(), axes="czyx").spec
    entries = make_ome_entries(spec, _make_record(str(folder / "a.ome.tif")))
    entries |= {"Channel": {"Name": ["a", "b"], "EmissionWavelength": [500, 600]}}
    path = folder / "a.ome.tif"
    tifffile.imwrite(path, _make_pixels(), ome=True, metadata=entries)
    return path


def _make_zarr(folder: Path, *, version: Any, partial: bool = False) -> Path:
    from napari_structsr.core.grid import TileGrid
    from napari_structsr.io.ome_zarr.writer import OmeZarrSink

    source = open_source(_make_pixels(), axes="czyx")
    sink = OmeZarrSink(folder / "a.ome.zarr", version=version)
    names = (Channel("a", "00FF00", (0.0, 99.0)), Channel("b"))
    spec = replace(source.spec, channels=names)
    with sink.open(spec, _make_record()) as writer:
        grid = TileGrid((2, 3), (48, 40), factor=1, unit=(48, 40), halo=0)
        for tile in itertools.islice(grid, 3 if partial else None):
            writer.write(tile, source.read(tile.plane, slice(0, 48), slice(0, 40)))
        if not partial:
            for work in writer.passes():
                for call in work:
                    call()
            writer.finish()
    return folder / "a.ome.zarr"


def _resume(path: Path) -> None:
    from napari_structsr.io.ome_zarr.writer import OmeZarrSink

    spec = open_source(_make_pixels(), axes="czyx").spec
    sink = OmeZarrSink(path)
    sink.check(spec)
    with sink.open(spec, _make_record()) as writer:
        for work in writer.passes():
            for call in work:
                call()


def _copy_model(folder: Path) -> Path:
    for ending in (".json", ".safetensors"):
        shutil.copy(_SHIPPED.with_suffix(ending), folder / f"mine-x2{ending}")
    card = json.loads((folder / "mine-x2.json").read_text("utf-8"))
    (folder / "mine-x2.json").write_text(json.dumps(card | {"name": "mine"}), "utf-8")
    return folder / "mine-x2.safetensors"


def _load_model(path: Path) -> None:
    from napari_structsr.zoo.catalogue import find_card, list_models, load_model

    before = os.environ.get("STRUCTSR_MODELS")
    os.environ["STRUCTSR_MODELS"] = str(path.parent)
    try:
        # whatever lies in the folder of the user, listing goes on
        assert any(card.name == "faithful" for card in list_models())
        find_card(str(path), factor=None)
        load_model(str(path), factor=None)
    finally:
        os.environ.pop("STRUCTSR_MODELS")
        if before is not None:
            os.environ["STRUCTSR_MODELS"] = before


def _make_zip(folder: Path) -> Path:
    import zipfile

    card = _copy_model(folder)
    path = folder / "mine.zip"
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for ending in (".json", ".safetensors"):
            part = card.with_suffix(ending)
            archive.write(part, part.name)
            part.unlink()
    return path


def _import_model(path: Path) -> None:
    from napari_structsr.zoo.user_models import import_model

    before = os.environ.get("STRUCTSR_MODELS")
    os.environ["STRUCTSR_MODELS"] = str(path.parent / "models")
    try:
        import_model(path)
    finally:
        os.environ.pop("STRUCTSR_MODELS")
        if before is not None:
            os.environ["STRUCTSR_MODELS"] = before


def _make_pth(folder: Path) -> Path:
    import torch

    weights = {"a.weight": torch.zeros(4, 3, 3, 3), "a.bias": torch.zeros(4)}
    torch.save(weights, folder / "a.pth")
    return folder / "a.pth"


def _write(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text, "utf-8")
        return folder / name

    return make


def _make_calibration(folder: Path) -> Path:
    card = json.loads((WEIGHTS / "sharp-x2.json").read_text("utf-8"))
    return _write("c.json", json.dumps(card["calibration"]))(folder)


def _read_calibration(path: Path) -> None:
    from napari_structsr.models.calibration import read_calibration

    found = read_calibration(path)
    assert found.predictor
    assert found.levels


_RECIPE = """
name = "mine"
factor = 2
megapixels = 0.02
patch = 16
batch = 4
seed = 3
rate = 0.0008
network.options = { width = 8, blocks = 1 }
[data]
photons = [300.0, 20000.0]
[adversary]
weight = 0.02
start = 0.5
"""
_TUNING = {
    "name": "mine",
    "parent": "faithful",
    "factor": 2,
    "pairs": [{"high": "b.tif", "plane": [0], "region": [0, 192, 0, 160]}],
    "microscope": {"psf_sigma": 0.4, "photons": 500.0, "read_noise": 0.01},
    "minutes": 3.0,
    "seed": 0,
    "batch": 4,
}


def _read_recipe(path: Path) -> None:
    from napari_structsr.training.recipe import read_recipe

    assert read_recipe(str(path)).steps > 0


def _make_tuning(folder: Path) -> Path:
    # large enough for a part that validates
    checks = 1000 * (np.indices((192, 160)).sum(0) // 16 % 2)
    pixels = np.stack([checks] * 3).astype(np.uint16)
    tifffile.imwrite(folder / "b.tif", pixels, photometric="minisblack")
    return _write("t.json", json.dumps(_TUNING))(folder)


def _read_tuning(path: Path) -> None:
    from napari_structsr.finetuning.config import read_fine_tuning
    from napari_structsr.finetuning.load_pairs import load_pairs

    load_pairs(read_fine_tuning(path))


def _make_run(folder: Path) -> Path:
    from napari_structsr.finetuning.runs import RunSummary, write_run

    one = folder / "one"
    one.mkdir()
    write_run(RunSummary(one, "mine", 2, "faithful", "finished", 9, 3.0, True, "Good."))
    return one


def _read_run(path: Path) -> None:
    from napari_structsr.finetuning.runs import accept_run, list_runs, read_run

    list_runs(path.parent)
    run = read_run(path)
    f"{run.step:,} {run.seconds:.0f} {run.bundle}"
    accept_run(path)


_FACTS = {"step": 3, "seconds": 1.5}


def _make_checkpoint(folder: Path) -> Path:
    import torch

    from napari_structsr.training.checkpoint import write_checkpoint

    path = folder / "checkpoint.safetensors"
    write_checkpoint(path, {"network.a": torch.zeros(3, 3)}, _FACTS)
    return path


def _read_checkpoint(path: Path) -> None:
    from napari_structsr.training.checkpoint import read_checkpoint

    read_checkpoint(path)


def _make_curves(folder: Path) -> Path:
    return _write("curves.csv", "step,pixel,psnr\n1,0.5,\n2,0.4,30.1\n")(folder)


def _read_curves(path: Path) -> None:
    from napari_structsr.training.curves import Curves

    Curves(path).read(until=5)


def _read_images(path: Path) -> None:
    from napari_structsr.io.formats.image_folders import find_images

    for image in find_images(path):
        list(image.planes(every=1))


def _make_images(folder: Path) -> Path:
    import imageio.v3

    (folder / "data" / "one").mkdir(parents=True)
    imageio.v3.imwrite(folder / "data/one/a.png", _make_pixels()[0, 0].astype("uint8"))
    _make_tiff(folder / "data" / "one")
    return folder / "data"


_BYTES, _JSON = change_bytes, change_json

FAMILIES = (
    Family(
        "tiff",
        lambda folder: _make_tiff(folder, photometric="minisblack"),
        read_image,
        (("a.tif", _BYTES), ("a.tif", change_tag)),
    ),
    Family(
        "compressed tiff",
        lambda folder: _make_tiff(folder, compression="zlib", rowsperstrip=16),
        read_image,
        (("a.tif", _BYTES), ("a.tif", change_tag)),
    ),
    Family(
        "imagej tiff",
        lambda folder: _make_tiff(
            folder,
            imagej=True,
            resolution=(9, 9),
            metadata={"axes": "ZYX", "spacing": 0.5, "unit": "um"},
        ),
        read_image,
        (("a.tif", _BYTES), ("a.tif", change_description)),
    ),
    Family(
        "ome-tiff",
        _make_ome_tiff,
        read_image,
        (("a.ome.tif", change_description),) * 3 + (("a.ome.tif", _BYTES),),
    ),
    Family(
        "ome-zarr 0.5",
        lambda folder: _make_zarr(folder, version="0.5"),
        read_image,
        (("a.ome.zarr/zarr.json", _JSON),) * 2
        + (("a.ome.zarr/0/zarr.json", _JSON), ("a.ome.zarr/0/c/0/0/0/0", _BYTES)),
    ),
    Family(
        "ome-zarr 0.4",
        lambda folder: _make_zarr(folder, version="0.4"),
        read_image,
        (("a.ome.zarr/.z*", _JSON), ("a.ome.zarr/0/.z*", _JSON)),
    ),
    Family(
        "unfinished result",
        lambda folder: _make_zarr(folder, version="0.5", partial=True),
        _resume,
        (
            ("a.ome.zarr/zarr.json", _JSON),
            ("a.ome.zarr/*journal*", _BYTES),
            ("a.ome.zarr/0/zarr.json", _JSON),
        ),
    ),
    Family("card", _copy_model, _load_model, (("mine-x2.json", _JSON),)),
    Family("weights", _copy_model, _load_model, (("mine-x2.safetensors", _BYTES),)),
    Family("weights of others", _make_pth, _load_model, (("a.pth", _BYTES),)),
    Family("zip", _make_zip, _import_model, (("mine.zip", _BYTES),)),
    Family("calibration", _make_calibration, _read_calibration, (("c.json", _JSON),)),
    Family("recipe", _write("r.toml", _RECIPE), _read_recipe, (("r.toml", _BYTES),)),
    Family("fine-tuning", _make_tuning, _read_tuning, (("t.json", _JSON),)),
    Family("run", _make_run, _read_run, (("one/run.json", _JSON),)),
    Family(
        "checkpoint",
        _make_checkpoint,
        _read_checkpoint,
        (("checkpoint.safetensors", _BYTES),),
    ),
    Family("curves", _make_curves, _read_curves, (("curves.csv", _BYTES),)),
    Family("folder of images", _make_images, _read_images, (("data/one/a.*", _BYTES),)),
)
"""Every kind of file that a stranger may give."""
