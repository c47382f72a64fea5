"""Pixels of every type and oddity: upscaled to the same twice, or refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults_campaign.children import Ending
from benchmarks.faults_campaign.jobs import Place, remove, run_command
from benchmarks.faults_campaign.tally import Outcome, Tally

TYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"),
    *("uint64", "float16", "float32", "float64", "complex64", ">u2", ">f4"),
)
CONTENTS = ("plain", "constant", "extremes", "holes", "infinite", "no number")
SHAPES = ((1, 1), (1, 40), (2, 2), (3, 48, 40))


def try_numbers(place: Place, tries: int, seed: int) -> Iterator[Tally]:
    """Upscale arrays of all types, as TIFF and as zarr; compare the two results."""
    tally = Tally("pixels of every type, value and size")
    cases = [
        (kind, content, shape)
        for kind in TYPES
        for content in CONTENTS
        for shape in SHAPES
    ]
    # spread evenly, and not by a step that meets one shape alone
    chosen = [cases[number * 7919 % len(cases)] for number in range(tries)]
    with tally.keep_time():
        for kind, content, shape in dict.fromkeys(chosen):
            place.sweep()
            ending = place.run(partial(_make_images, place.work, kind, content, shape))
            if ending.code:
                raise SystemExit(f"{kind} {content} {shape}:\n{ending.said}")
            endings = [
                place.run(partial(_upscale, source))
                for source in ("numbers.tif", "numbers.zarr")
                if (place.work / source).exists()
            ]
            outcome = _weigh(place, endings)
            said = " | ".join(ending.said[-700:] for ending in endings)
            tally.add(outcome, f"{kind} {content} {shape}: {said}")
    yield tally


def _weigh(place: Place, endings: list[Ending]) -> Outcome:
    if any(ending.hung for ending in endings):
        return Outcome.HANG
    if any(ending.broke for ending in endings):
        return Outcome.TRACEBACK
    if any(ending.code for ending in endings):
        return Outcome.REFUSED
    check = place.run(partial(_compare, place.work))
    return Outcome.LOST if check.code else Outcome.IDENTICAL


def make_pixels(kind: str, content: str, shape: tuple[int, ...]) -> Any:
    """Return an array of a type, with the values that a word names."""
    import numpy as np

    dtype = np.dtype(kind)
    random = np.random.default_rng(0)
    pixels = random.uniform(0, 100, shape)
    if content == "constant":
        pixels[:] = 7
    with np.errstate(all="ignore"):
        array = pixels.astype(dtype)
    if dtype.kind in "iu" and content == "extremes":
        limits = np.iinfo(dtype)
        array.flat[0], array.flat[-1] = limits.min, limits.max
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        if content == "extremes":
            array.flat[0], array.flat[-1] = limits.min, limits.max
        elif content == "holes":
            array.flat[: max(1, array.size // 5)] = np.nan
        elif content == "infinite":
            array.flat[0], array.flat[-1] = -np.inf, np.inf
        elif content == "no number":
            array[:] = np.nan
    return array


def _make_images(work: Path, kind: str, content: str, shape: tuple[int, ...]) -> None:
    import tifffile
    import zarr

    array = make_pixels(kind, content, shape)
    if array.dtype.kind != "b":  # zarr alone keeps truth values
        tifffile.imwrite(
            work / "numbers.tif",
            array,
            byteorder=array.dtype.str[0].replace("|", "<"),
            photometric="minisblack",
        )
    zarr.create_array(work / "numbers.zarr", data=array)


def _upscale(source: str) -> None:
    target = f"{Path(source).suffix[1:]}.ome.zarr"
    remove(Path(target))
    words = (source, target, "--model", "bicubic", "--device", "cpu")
    run_command(("upscale", *words), ())


def _compare(work: Path) -> None:
    """Exit with 1 where the results of two formats differ, or values are invented."""
    import numpy as np
    import zarr

    results = [
        zarr.open_array(path / "0", mode="r")[:]
        for path in sorted(work.glob("*.ome.zarr"))
    ]
    if any(not np.array_equal(results[0], one, equal_nan=True) for one in results):
        print("the results differ")
        raise SystemExit(1)
    source = zarr.open_array(work / "numbers.zarr", mode="r")[:]
    result = results[0]
    if result.dtype != source.dtype.newbyteorder("="):
        print(f"the type became {result.dtype}")
        raise SystemExit(1)
    if np.isfinite(source).all() and not np.isfinite(result).all():
        print("values were invented that are no numbers")
        raise SystemExit(1)
