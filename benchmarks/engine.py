"""How much of a run is network, and how it compares with an earlier revision.

    python benchmarks/engine.py --folder SCRATCH --against e24bdd7

Upscales stacks of 2048 x 2048 pixels from OME-Zarr to OME-Zarr with `structsr upscale`,
each run in a process of its own. With `--against` the same runs are made with another
revision, which is checked out into SCRATCH, in turns, so that a busy machine is busy
for both. Prints Markdown tables: wall and CPU seconds, peak memory, and the ratios;
efficiency, the time of the bare network on the pixels of the image over that of the
whole run; what a tile and a small plane cost beside the network; and an inspection of
half as many pixels along y and x, with the source alone and with a reference; what
other programs on the same cores cost, for ways in which threads wait for each other;
and volumes whose chunks hold many planes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

try:
    from benchmarks.memory import Cells
except ImportError:  # run as a file
    from memory import Cells

import numpy as np
import zarr

from napari_structsr.io.ome_zarr.image_writer import write_image

_ROOT = Path(__file__).resolve().parents[1]
_SMALL = 64  # pixels along the side of a small plane
_BLOCK = 512
_DEPTH = 32  # planes of a volume
# how threads wait; spinning is what OpenMP of GNU does where nothing is said
_WAYS = {
    "wait spinning": {"GOMP_SPINCOUNT": "300000"},
    "wait asleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one alone": {"OMP_NUM_THREADS": "1"},
}

_BARE = """
import json, os, sys, time
import torch
from napari_structsr.engine.device import choose_device
from napari_structsr.zoo.catalogue import load_model
name, precision, side, planes = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
model = load_model(name, factor=2)
device, _ = choose_device("cpu", precision, model)
image = torch.rand(1, 1, side, side)
device.run(model, image)
wall, cpu = time.perf_counter(), time.process_time()
for _ in range(planes):
    device.run(model, image)
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    wall: float  # seconds
    cpu: float  # seconds of user and kernel
    peak: float  # GiB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--against", help="revision to compare with")
    parser.add_argument("--model", default="faithful")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--planes", type=int, default=2)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--agreements", nargs="+", default=["off", "exact", "noise"], metavar="KIND"
    )
    parser.add_argument("--small-planes", type=int, nargs=2, default=[40, 240])
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["runs", "overheads", "inspections"],
        choices=["runs", "overheads", "inspections", "neighbours", "volumes"],
    )
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with _revisions(args.folder, args.against) as revisions:
        parts = {
            "runs": _compare_runs,
            "overheads": _compare_overheads,
            "inspections": _compare_inspections,
            "neighbours": _compare_waiting,
            "volumes": _compare_volumes,
        }
        for part in args.parts:
            parts[part](args, revisions)


@contextmanager
def _revisions(folder: Path, against: str | None) -> Iterator[dict[str, Path]]:
    """Yield where the sources of each revision lie, this one last."""
    here = {"this revision": _ROOT / "src"}
    if against is None:
        yield here
        return
    other = folder / "revision"
    git = ["git", "-C", str(_ROOT), "worktree"]
    subprocess.run([*git, "add", "--force", "--detach", other, against], check=True)
    try:
        yield {against: other / "src"} | here
    finally:
        subprocess.run([*git, "remove", "--force", other], check=True)


def _compare_runs(args: argparse.Namespace, revisions: dict[str, Path]) -> None:
    stack = args.folder / "stack.ome.zarr"
    write_image(Cells(args.planes, args.side), stack, overwrite=True)
    print(f"{args.planes} planes of {args.side} x {args.side}, {args.model}")
    print("| agreement | revision | wall s | CPU s | peak GiB | efficiency |")
    print("|---|---|---|---|---|---|")
    for agreement in args.agreements:
        costs: dict[str, list[Cost]] = {name: [] for name in revisions}
        bare: list[Cost] = []
        for _ in range(args.repeats):
            for name, sources in revisions.items():
                options = ["--agreement", agreement]
                costs[name].append(_upscale(args, sources, stack, options))
            bare.append(_run_bare(args, revisions["this revision"]))
        for name in revisions:
            shares = [_compare(bare, costs[name], by) for by in ("cpu", "wall")]
            print(
                f"| {agreement} | {name} | {_median(costs[name], 'wall'):.1f} "
                f"| {_median(costs[name], 'cpu'):.1f} "
                f"| {_median(costs[name], 'peak'):.2f} "
                f"| {shares[0]:.2f} CPU, {shares[1]:.2f} wall |",
                flush=True,
            )
        if len(revisions) == 2:
            old, new = costs.values()
            ratios = [f"{_compare(old, new, by):.2f}" for by in ("wall", "cpu", "peak")]
            print(f"| {agreement} | ratio | {' | '.join(ratios)} | |", flush=True)
    shutil.rmtree(stack)


def _compare_overheads(args: argparse.Namespace, revisions: dict[str, Path]) -> None:
    """Print what one more small plane, and one more tile, costs with bicubic."""
    print("\n| one more | revision | wall ms | CPU ms |\n|---|---|---|---|")
    few, many = args.small_planes
    plain = argparse.Namespace(**vars(args) | {"model": "bicubic"})
    for title, cases in {
        f"plane of {_SMALL} x {_SMALL}": [
            (few, _SMALL, [], few),
            (many, _SMALL, [], many),
        ],
        "tile": [
            (1, 2048, ["--tile", "2048"], 1),
            (1, 2048, ["--tile", "256"], 64),
        ],
    }.items():
        found: dict[str, list[Cost]] = {name: [] for name in revisions}
        for planes, side, options, _ in cases:
            stack = args.folder / "small.ome.zarr"
            write_image(Cells(planes, side), stack, overwrite=True)
            for name, sources in revisions.items():
                found[name].append(_upscale(plain, sources, stack, options))
            shutil.rmtree(stack)
        more = cases[1][3] - cases[0][3]
        for name, (one, other) in found.items():
            print(
                f"| {title} | {name} | {1e3 * (other.wall - one.wall) / more:.1f} "
                f"| {1e3 * (other.cpu - one.cpu) / more:.1f} |",
                flush=True,
            )


def _compare_inspections(args: argparse.Namespace, revisions: dict[str, Path]) -> None:
    """Print what the default maps, scores and the report of a result cost."""
    stack, truth, result = (
        args.folder / f"{name}.ome.zarr" for name in ("source", "truth", "sharp")
    )
    write_image(Cells(args.planes, args.side // 2), stack, overwrite=True)
    write_image(Cells(args.planes, args.side), truth, overwrite=True)
    words = ["upscale", stack, result, "--model", "sharp", "--overwrite"]
    _run(args, revisions["this revision"], words)
    print(f"\ninspection of {args.planes} results of {args.side} x {args.side}")
    print("| with | revision | wall s | CPU s | peak GiB |\n|---|---|---|---|---|")
    maps = args.folder / "maps"
    for title, options in {
        "source": [],
        "source and reference": ["--reference", truth],
    }.items():
        costs: dict[str, list[Cost]] = {name: [] for name in revisions}
        for _ in range(args.repeats):
            for name, sources in revisions.items():
                shutil.rmtree(maps, ignore_errors=True)
                words = ["inspect", result, "--out", maps, "--source", stack]
                words += options
                costs[name].append(_run(args, sources, words))
        for name, found in costs.items():
            figures = [f"{_median(found, by):.1f}" for by in ("wall", "cpu", "peak")]
            print(f"| {title} | {name} | {' | '.join(figures)} |", flush=True)
        if len(revisions) == 2:
            old, new = costs.values()
            ratios = [f"{_compare(old, new, by):.2f}" for by in ("wall", "cpu", "peak")]
            print(f"| {title} | ratio | {' | '.join(ratios)} |", flush=True)
    for path in (stack, truth, result, maps):
        shutil.rmtree(path, ignore_errors=True)


def _compare_waiting(args: argparse.Namespace, revisions: dict[str, Path]) -> None:
    """Print what neighbours on the same cores cost, relative to threads that spin."""
    sources, side = revisions["this revision"], args.side // 4
    stack, result = (args.folder / f"{name}.ome.zarr" for name in ("source", "result"))
    maps = args.folder / "maps"
    write_image(Cells(1, side), stack, overwrite=True)
    commands: dict[str, list[str | Path]] = {
        "upscale": ["upscale", stack, result, "--overwrite"],
        "inspect": ["inspect", result, "--out", maps, "--source", stack, "--overwrite"],
    }
    print(f"\n{side} x {side} pixels on {os.cpu_count()} cores, over spinning threads")
    print("| busy programs | command | threads | CPU | wall |\n|---|---|---|---|---|")
    for count in (0, 1, 2, 8):
        with _neighbours(count):
            for name, words in commands.items():
                costs: dict[str, list[Cost]] = {way: [] for way in _WAYS}
                for _ in range(args.repeats):
                    for way, told in _WAYS.items():
                        costs[way].append(_run(args, sources, words, told))
                spinning = costs["wait spinning"]
                for way, taken in costs.items():
                    cpu, wall = (
                        1 / _compare(spinning, taken, by) for by in ("cpu", "wall")
                    )
                    row = f"| {count} | {name} | {way} | {cpu:.2f} | {wall:.2f} |"
                    print(row, flush=True)
    for path in (stack, result, maps):
        shutil.rmtree(path, ignore_errors=True)


def _compare_volumes(args: argparse.Namespace, revisions: dict[str, Path]) -> None:
    """Print what a volume costs by the size of its chunks, in planes, rows, columns."""
    side = args.side // 2
    print(f"\n{_DEPTH} planes of {side} x {side}, {args.model}")
    print("| chunks | revision | wall s | CPU s | peak GiB |\n|---|---|---|---|---|")
    volume = args.folder / "volume.zarr"
    for chunks in ((1, 512, 512), (_DEPTH, 128, 128), (_DEPTH, 64, 64)):
        shutil.rmtree(volume, ignore_errors=True)
        pixels = Cells(_DEPTH, side)
        stored = zarr.create_array(
            volume, shape=(_DEPTH, side, side), chunks=chunks, dtype="uint16"
        )
        whole = slice(0, side)
        stored[:] = np.stack(
            [pixels.read((n,), whole, whole)[0] for n in range(_DEPTH)]
        )
        costs: dict[str, list[Cost]] = {name: [] for name in revisions}
        for _ in range(args.repeats):
            for name, sources in revisions.items():
                costs[name].append(_upscale(args, sources, volume, ["--axes", "zyx"]))
        for name, found in costs.items():
            figures = [f"{_median(found, by):.1f}" for by in ("wall", "cpu", "peak")]
            print(f"| {chunks} | {name} | {' | '.join(figures)} |", flush=True)
    shutil.rmtree(volume)


@contextmanager
def _neighbours(count: int) -> Iterator[None]:
    """Keep as many cores busy."""
    busy = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(busy) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _upscale(
    args: argparse.Namespace, sources: Path, stack: Path, options: list[str]
) -> Cost:
    result = args.folder / "result.ome.zarr"
    words = ["upscale", stack, result, "--model", args.model]
    words += ["--precision", args.precision, *options]
    shutil.rmtree(result, ignore_errors=True)
    try:
        return _run(args, sources, words)
    finally:
        shutil.rmtree(result, ignore_errors=True)


def _run(
    args: argparse.Namespace,
    sources: Path,
    words: Sequence[str | Path],
    told: dict[str, str] | None = None,
) -> Cost:
    """Run a command of a revision in a process of its own."""
    # what is imported here has said it; each revision says itself how its threads wait
    known = {key: v for key, v in os.environ.items() if key != "OMP_WAIT_POLICY"}
    log = args.folder / "log.txt"
    begin = time.perf_counter()
    with log.open("w") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "napari_structsr.cli", *words],
            env=known | {"PYTHONPATH": str(sources)} | (told or {}),
            stdout=lines,
            stderr=lines,
        )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    if status:
        raise SystemExit(f"structsr ended with {status}: {log.read_text()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**30)


def _run_bare(args: argparse.Namespace, sources: Path) -> Cost:
    """Time the network alone, on blocks without halo that make up the image."""
    count = args.planes * (args.side // _BLOCK) ** 2
    words = [args.model, args.precision, str(_BLOCK), str(count)]
    done = subprocess.run(
        [sys.executable, "-c", _BARE, *words],
        env=os.environ | {"PYTHONPATH": str(sources)},
        stdout=subprocess.PIPE,
        check=True,
    )
    wall, cpu = json.loads(done.stdout)
    return Cost(wall, cpu, 0.0)


def _compare(some: list[Cost], others: list[Cost], by: str) -> float:
    """Return the median ratio of runs that were made in turns."""
    pairs = zip(some, others, strict=True)
    return statistics.median(getattr(a, by) / getattr(b, by) for a, b in pairs)


def _median(costs: list[Cost], by: str) -> float:
    return statistics.median(getattr(cost, by) for cost in costs)


if __name__ == "__main__":
    main()
