"""Whether a GPU computes what it should, and how fast: for whoever has one.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --device cpu --quick     # tries the script itself

In a few minutes it checks the number formats against float32 on the CPU, the splitting
of blocks where memory runs short, tiles against the whole plane, maps of structure
error against the CPU, and steps of training. Then it prints Markdown tables: what the
network reaches of the rate of matrix products, and what a whole run reaches of the
network alone. It ends with 1 where a check has failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch
from skimage.data import camera
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.engine.device import Device, Precision, choose_device
from napari_structsr.engine.events import Event, Failed, Finished, Warned, result_of
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink
from napari_structsr.models.build import build_network
from napari_structsr.training.trainer import autocast
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

_FACTOR = 2
_FORMATS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
# largest errors, as shares of the range: of a whole image more than of the self-test
_ALLOWED = {"float32": 2e-3, "bfloat16": 5e-2, "float16": 2e-2}
_MAPS = ("error", "ssim", "residual", "squirrel", "null_space", "artefact")
_MAPS_ALLOWED = 2e-2  # of the largest value of a map on the CPU
_STEPS = 20


@dataclass(frozen=True)
class Bench:
    """What is tried, where."""

    kind: str  # of the device, as in `choose_device`
    side: int  # pixels of the plane that is upscaled
    shortage: int  # input pixels from which memory is short, where none can be limited
    product: int  # side of matrices that are multiplied
    repeats: int

    @property
    def image(self) -> np.ndarray:
        """A plane full of structure, float32, range about 0..1."""
        picture = camera().astype(np.float32) / 255
        count = -(-self.side // min(picture.shape))
        return np.tile(picture, (count, count))[: self.side, : self.side]


def check_format(bench: Bench, precision: Precision) -> str:
    """Compare a number format with float32 on the CPU."""
    model = load_model("faithful", factor=_FACTOR)
    image = torch.from_numpy(bench.image)[None, None]
    expected = model(image)
    device, _ = choose_device(bench.kind, precision, model)
    found = device.run(model, image.to(device.kind)).cpu()
    worst = float((found - expected).abs().max())
    _demand(worst <= _ALLOWED[precision], f"off by {worst:.2g} of the range")
    return f"{device.label}: off by {worst:.1g} of the range at most"


def check_tiles(bench: Bench) -> str:
    """Compare small tiles with large ones: they must be the same bytes."""
    small, _ = _upscale(bench, tile=512)
    large, _ = _upscale(bench, tile=4096)
    _demand(np.array_equal(small, large), "tiles of 512 and of 4096 pixels differ")
    return "tiles of 512 and of 4096 pixels hold the same bytes"


def check_shortage(bench: Bench) -> str:
    """Let memory run short, and compare what smaller blocks give."""
    expected, _ = _upscale(bench)
    if bench.kind.startswith("cuda"):
        torch.cuda.empty_cache()
        # weights and a small block fit, a large one does not
        total = torch.cuda.get_device_properties(bench.kind).total_memory
        torch.cuda.set_per_process_memory_fraction(150e6 / total, bench.kind)
        try:
            found, warnings = _upscale(bench)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, bench.kind)
    else:
        run = Device.run

        def run_short(device: Device, model: object, image: Tensor) -> Tensor:
            if image.numel() > bench.shortage:
                raise torch.OutOfMemoryError("out of memory")
            return run(device, model, image)  # type: ignore[arg-type]

        with mock.patch.object(Device, "run", run_short):
            found, warnings = _upscale(bench)
    told = [text for text in warnings if "ran out of memory" in text]
    _demand(bool(told), "memory did not run short: nothing was tried")
    worst = float(np.abs(found - expected).max())
    _demand(worst <= _ALLOWED["float32"], f"smaller blocks differ by {worst:.2g}")
    return f"{told[-1]}; the result differs by {worst:.1g} at most"


def check_maps(bench: Bench) -> str:
    """Compare maps of structure error with those of the CPU."""
    truth = bench.image[: bench.side // 2 * 2, : bench.side // 2 * 2]
    rows, columns = (size // _FACTOR for size in truth.shape)
    source = truth.reshape(rows, _FACTOR, columns, _FACTOR).mean(axis=(1, 3))
    result = np.kron(source, np.ones((_FACTOR, _FACTOR), np.float32))
    maps = {}
    for kind in ("cpu", bench.kind):
        settings = InspectSettings(device=kind, maps=_MAPS, model="faithful")
        events = iter_inspect(result, truth, source=source, settings=settings)
        maps[kind] = result_of(events).maps
    worst = {
        key: float(np.abs(maps[bench.kind][key] - one).max() / np.abs(one).max())
        for key, one in maps["cpu"].items()
    }
    for key, share in worst.items():
        _demand(share <= _MAPS_ALLOWED, f"{key} differs by {share:.2g} of its largest")
    return f"{len(worst)} maps as on the CPU, within {max(worst.values()):.1g}"


def check_training(bench: Bench, precision: Precision) -> str:
    """Train a small network for a few steps: the loss must fall."""
    model = load_model("faithful", factor=_FACTOR)
    device, _ = choose_device(bench.kind, precision, model)
    torch.manual_seed(0)
    network = build_network("residual-generator", factor=_FACTOR, options={"blocks": 2})
    network.to(device.kind)
    truth = torch.from_numpy(bench.image[:192, :192])[None, None].to(device.kind)
    measured = F.avg_pool2d(truth, _FACTOR)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(_STEPS):
        with autocast(device):
            loss = F.l1_loss(network(measured), truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    fell = losses[-1] < losses[0]
    _demand(fell, f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g}")
    return f"{_STEPS} steps, loss {losses[0]:.3g} to {losses[-1]:.3g}"


def list_checks(bench: Bench) -> dict[str, Callable[[], str]]:
    """Return all checks by name."""
    found: dict[str, Callable[[], str]] = {}
    for precision in _FORMATS:
        found[precision] = lambda precision=precision: check_format(bench, precision)
    found["tiles"] = lambda: check_tiles(bench)
    found["short of memory"] = lambda: check_shortage(bench)
    found["maps"] = lambda: check_maps(bench)
    for precision in ("float32", "bfloat16"):
        found[f"training, {precision}"] = lambda precision=precision: check_training(
            bench, precision
        )
    return found


def print_rates(bench: Bench) -> None:
    """Print what the network, and a whole run, reach in each number format."""
    print(
        "\n| format | matrix product TFLOP/s | network TFLOP/s | share "
        "| network Mpixel/s | whole run Mpixel/s | share |\n"
        "|---|---|---|---|---|---|---|"
    )
    model = load_model("faithful", factor=_FACTOR)
    # two operations for each weight at each input pixel
    work = 2 * sum(weights.numel() for weights in model.network.parameters())
    image = torch.from_numpy(bench.image)[None, None]
    pixels = image.numel()
    # most processors emulate the others
    for precision in _FORMATS[:1] if bench.kind == "cpu" else _FORMATS:
        device, _ = choose_device(bench.kind, precision, model)
        placed = image.to(device.kind)
        dtype = getattr(torch, precision)
        matrix = torch.rand(bench.product, bench.product).to(device.kind, dtype)
        product = 2 * bench.product**3 / _time(bench, lambda m=matrix: m @ m)
        bare = pixels / _time(
            bench, lambda device=device, placed=placed: device.run(model, placed)
        )
        whole = pixels / _time(
            bench, lambda precision=precision: _upscale(bench, precision=precision)
        )
        print(
            f"| {precision} | {product / 1e12:.3g} | {bare * work / 1e12:.3g} "
            f"| {bare * work / product:.2f} | {bare / 1e6:.3g} | {whole / 1e6:.3g} "
            f"| {whole / bare:.2f} |",
            flush=True,
        )


def _upscale(
    bench: Bench, *, tile: int | None = None, precision: Precision = "float32"
) -> tuple[np.ndarray, list[str]]:
    """Upscale the plane through the engine; return it, and the warnings."""
    settings = UpscaleSettings(
        device=bench.kind, precision=precision, agreement="off", tile=tile
    )
    model = load_model("faithful", factor=_FACTOR)
    events: list[Event] = list(
        iter_upscale(open_source(bench.image), model, MemorySink(), settings=settings)
    )
    if isinstance(events[-1], Failed):
        raise events[-1].error
    assert isinstance(events[-1], Finished)
    warnings = [event.message for event in events if isinstance(event, Warned)]
    return events[-1].output, warnings


def _time(bench: Bench, call: Callable[[], object]) -> float:
    """Return the best seconds of a call, after one to warm up."""
    times = []
    for _ in range(bench.repeats + 1):
        begin = time.perf_counter()
        call()
        if bench.kind.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def main(words: list[str] | None = None) -> int:
    """Check, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0", help="cuda:0, cuda:1, mps, cpu")
    parser.add_argument("--quick", action="store_true", help="small images, one repeat")
    args = parser.parse_args(words)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} sees no CUDA device here; run this where one "
            "is, or try the script itself with --device cpu --quick"
        )
        return 2
    bench = (
        Bench(args.device, side=96, shortage=6000, product=256, repeats=1)
        if args.quick
        else Bench(args.device, side=2048, shortage=1 << 20, product=4096, repeats=5)
    )
    print("| check | |\n|---|---|")
    failed = False
    for name, check in list_checks(bench).items():
        try:
            print(f"| {name} | {check()} |", flush=True)
        # whatever a device raises: the other checks still say something
        except Exception as error:
            failed = True
            print(f"| {name} | FAILED: {error} |", flush=True)
    print_rates(bench)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
