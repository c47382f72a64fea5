"""The same network through other ways of tiling, and other networks beside ours.

    python -m benchmarks.peers --folder SCRATCH

Upscales one stack with the same weights by `structsr upscale` and by what others do:
the whole plane at once, MONAI's sliding window, tiles with a pad of 10 and of 32 pixels
as in chaiNNer, overlapping tiles of 256 as in CAREamics, and dask's overlap. Each run
is a process of its own, from the stack on disk to a result on disk, in turns: as it is,
with the pages of memory kept as we do, and with our fused layers as well. Prints
Markdown tables: CPU and wall seconds over ours, peak memory, and the largest difference
from the whole plane, which shows at seams; then how many pixels a second networks take.
Needs MONAI and dask.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import Tensor

from benchmarks.memory import Cells
from napari_structsr.engine.device import Device, choose_device
from napari_structsr.engine.events import result_of
from napari_structsr.engine.memory import keep_pages
from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink
from napari_structsr.models.build import build_network
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

Network = Callable[[Tensor], Tensor]

_FACTOR = 2
_TILE = 512  # input pixels, of those who let one choose
_CAREAMICS = 256, 24  # tile, and what is cropped of it at either side
_LEAST_SEAM = 1e-4  # of the range; less is rounding
_OURS = "structsr"
# as it is, pages of memory kept, and layers fused as well
_HELP = "plain", "kept", "fused"


def upscale_whole(network: Network, image: Tensor) -> Tensor:
    """Upscale a plane at once."""
    return network(image)


def upscale_with_monai(network: Network, image: Tensor) -> Tensor:
    """Slide a window with the settings that MONAI has by default."""
    from monai.inferers import sliding_window_inference

    found = sliding_window_inference(image, (_TILE, _TILE), 1, network)
    assert isinstance(found, Tensor)
    return found


def upscale_padded(
    network: Network, image: Tensor, *, pad: int, tile: int = _TILE
) -> Tensor:
    """Upscale tiles that are read with a pad, of which the pad is cut off."""
    height, width = image.shape[-2:]
    result = image.new_empty((1, 1, height * _FACTOR, width * _FACTOR))
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            first = max(top - pad, 0), max(left - pad, 0)
            part = image[..., first[0] : top + tile + pad, first[1] : left + tile + pad]
            found = network(part)
            place = result[
                ...,
                top * _FACTOR : (top + tile) * _FACTOR,
                left * _FACTOR : (left + tile) * _FACTOR,
            ]
            down, right = (top - first[0]) * _FACTOR, (left - first[1]) * _FACTOR
            rows, columns = place.shape[-2:]
            place.copy_(found[..., down : down + rows, right : right + columns])
    return result


def upscale_with_dask(network: Network, image: Tensor, *, radius: int) -> Tensor:
    """Upscale chunks that dask lets overlap by what the network sees."""
    import dask
    import dask.array as da

    def upscale(block: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(block.copy())[None, None])[0, 0].numpy()

    chunks = da.from_array(image[0, 0].numpy(), chunks=_TILE)
    wide = da.overlap.overlap(chunks, depth=radius, boundary="none")
    sizes = tuple(tuple(_FACTOR * n for n in axis) for axis in wide.chunks)
    result = wide.map_blocks(upscale, chunks=sizes, dtype=np.float32)
    depth = dict.fromkeys((0, 1), radius * _FACTOR)
    result = da.overlap.trim_internal(result, depth, boundary="none")
    # torch has threads of its own
    with dask.config.set(scheduler="synchronous"):
        return torch.from_numpy(result.compute())[None, None]


def list_peers(radius: int) -> dict[str, Callable[[Network, Tensor], Tensor]]:
    """Return the ways to upscale a plane by name."""
    tile, crop = _CAREAMICS
    return {
        "whole plane": upscale_whole,
        "MONAI": upscale_with_monai,
        "pad 10": lambda net, image: upscale_padded(net, image, pad=10),
        "pad 32": lambda net, image: upscale_padded(net, image, pad=32),
        "CAREamics-like": lambda net, image: upscale_padded(
            net, image, pad=crop, tile=tile - 2 * crop
        ),
        "dask": lambda net, image: upscale_with_dask(net, image, radius=radius),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", default="faithful")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--planes", type=int, default=2)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--peers", nargs="+", default=list(list_peers(0)), choices=list_peers(0)
    )
    parser.add_argument("--networks-side", type=int, default=256, help="0: leave out.")
    parser.add_argument("--worker", nargs=2, metavar=("PEER", "HELP"))
    args = parser.parse_args()
    if args.worker:
        _work(args, *args.worker)
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    model = load_model(args.model, factor=_FACTOR)
    args.precision = choose_device("cpu", args.precision, model)[0].precision
    _compare_peers(args)
    if args.networks_side:
        _compare_networks(args.networks_side)


def _compare_peers(args: argparse.Namespace) -> None:
    stack = args.folder / "stack.ome.zarr"
    write_image(Cells(args.planes, args.side), stack, overwrite=True)
    peers = [_OURS, *args.peers]
    costs: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for _ in range(args.repeats):
        for peer in peers:
            # ours has both in any case
            for help_ in _HELP[:1] if peer == _OURS else _HELP:
                costs.setdefault((peer, help_), []).append(
                    _run(args, stack, peer, help_)
                )
    shutil.rmtree(stack)
    seams = dict(_measure_seams(args))
    print(f"{args.planes} planes of {args.side} x {args.side}, {args.model}, over ours")
    print(
        "| way | CPU | wall | CPU, pages kept | wall, pages kept "
        "| CPU, layers fused too | wall, layers fused too | peak GiB | seam |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    ours = costs[_OURS, "plain"]
    for peer in peers:
        figures = []
        for help_ in _HELP:
            found = costs.get((peer, help_), ours)
            for which in (1, 0):
                pairs = zip(found, ours, strict=True)
                ratio = statistics.median(a[which] / b[which] for a, b in pairs)
                figures.append(f"{ratio:.2f}")
        peak = statistics.median(cost[2] for cost in costs[peer, "plain"])
        seam = seams[peer]
        words = f"{seam:.2g}" if seam > _LEAST_SEAM else "rounding"
        print(f"| {peer} | {' | '.join(figures)} | {peak:.2f} | {words} |", flush=True)


def _run(
    args: argparse.Namespace, stack: Path, peer: str, help_: str
) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and peak GiB of a process."""
    result = args.folder / "result.zarr"
    shutil.rmtree(result, ignore_errors=True)
    if peer == _OURS:
        words = ["-m", "napari_structsr.cli", "upscale", str(stack), str(result)]
        words += ["--model", args.model, "--precision", args.precision]
        words += ["--agreement", "off"]
    else:
        words = ["-m", "benchmarks.peers", "--folder", str(args.folder)]
        words += ["--model", args.model, "--precision", args.precision]
        words += ["--worker", peer, help_]
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    shutil.rmtree(result, ignore_errors=True)
    if status:
        raise SystemExit(f"{peer} ended with {status}")
    unit = 1 if sys.platform == "darwin" else 1024
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**30


def _work(args: argparse.Namespace, peer: str, help_: str) -> None:
    """Upscale the stack as a script of a user would."""
    if help_ != "plain":
        keep_pages()
    model = load_model(args.model, factor=_FACTOR)
    upscale = list_peers(model.radius)[peer]
    # chosen by hand: `choose_device` keeps pages
    device = Device("cpu", "cpu", args.precision)
    plain = partial(_run_layers, dtype=getattr(torch, args.precision))
    network = partial(device.run if help_ == "fused" else plain, model)
    source: Any = zarr.open_array(args.folder / "stack.ome.zarr" / "0", mode="r")
    planes, height, width = source.shape
    result = zarr.create_array(
        args.folder / "result.zarr",
        shape=(planes, height * _FACTOR, width * _FACTOR),
        chunks=(1, _TILE, _TILE),
        dtype=source.dtype,
    )
    for number in range(planes):
        pixels = source[number].astype(np.float32)
        low, high = np.percentile(pixels, (0.1, 99.9))
        image = torch.from_numpy((pixels - low) / (high - low))[None, None]
        # MONAI multiplies in place what the network gave
        with torch.inference_mode():
            found = upscale(network, image)[0, 0].numpy() * (high - low) + low
        result[number] = found.clip(0, 65535).round().astype(source.dtype)


def _run_layers(model: SRModel, image: Tensor, *, dtype: torch.dtype) -> Tensor:
    """Run the network layer by layer, as torch does."""
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        return model(image)


def _measure_seams(args: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Yield the largest difference from the whole plane, in float32, of the range."""
    model = load_model(args.model, factor=_FACTOR)
    side = 2 * _TILE + 100  # the last tiles are narrow
    pixels = Cells(1, side).read((0,), slice(0, side), slice(0, side))
    image = torch.from_numpy(pixels.astype(np.float32) / pixels.max())[None]
    whole = model(image)
    settings = UpscaleSettings(device="cpu", precision="float32", agreement="off")
    source = open_source(image[0, 0].numpy())
    ours = result_of(iter_upscale(source, model, MemorySink(), settings=settings))
    yield _OURS, float((torch.from_numpy(ours) - whole[0, 0]).abs().max())
    ways = list_peers(model.radius)
    for name in args.peers:
        with torch.inference_mode():
            found = ways[name](model, image)
        yield name, float((found - whole).abs().max())


def _compare_networks(side: int) -> None:
    """Print how many input pixels a second networks for the factor 2 take."""
    keep_pages()
    print("\n| network | parameters | thousand pixels a CPU second |\n|---|---|---|")
    for name, network in _list_networks().items():
        image = torch.rand(1, 1, side, side)
        times = []
        with torch.inference_mode():
            for _ in range(3):
                begin = time.process_time()
                network(image)
                times.append(time.process_time() - begin)
        size = sum(weights.numel() for weights in network.parameters())
        rate = side**2 / min(times) / 1e3
        print(f"| {name} | {size / 1e3:.0f} k | {rate:.1f} |", flush=True)


def _list_networks() -> dict[str, torch.nn.Module]:
    found: dict[str, torch.nn.Module] = {
        "ours": load_model("faithful", factor=_FACTOR).network
    }
    for title, name, options in (
        ("SRResNet, 64 x 16", "srresnet", {}),
        ("SwinIR-light", "swinir", {}),
        ("RRDB (ESRGAN)", "rrdb", {}),
    ):
        built = build_network(name, factor=_FACTOR, options=options)
        found[title] = built.eval().requires_grad_(False)
    try:
        from spandrel.architectures.Compact import Compact
    except ImportError:
        return found
    compact = Compact(num_in_ch=1, num_out_ch=1, upscale=_FACTOR)
    found["compact (Real-ESRGAN), 64 x 16"] = compact.eval().requires_grad_(False)
    return found


if __name__ == "__main__":
    main()
