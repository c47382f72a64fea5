"""Train the `faithful` generator: pixel loss alone, on pairs made by the forward model.

    python scripts/train_faithful.py --data DIR --factor 2 --out models/faithful-x2

DIR holds one folder a source, of PNG and TIFF images. The run is warm-started by
``--start`` and writes half-precision weights of the running average each minute.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import skimage.io
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.models.generator import ResidualGenerator

MARGIN = 3  # LR pixels around a crop, so that its border is blurred with true pixels


def load(folder: Path, smallest: int) -> dict[str, list[torch.Tensor]]:
    """Read every plane of `smallest` pixels or more of every source, in 0..1."""
    sources: dict[str, list[torch.Tensor]] = {}
    for path in sorted(folder.glob("*/*")):
        image = skimage.io.imread(path).astype(np.float32)
        for plane in image if path.suffix.startswith(".tif") else image[None]:
            low, high = np.percentile(plane, (0.02, 99.98))
            if min(plane.shape) >= smallest and high > low:
                scaled = np.clip((plane - low) / (high - low), 0, 1)
                sources.setdefault(path.parent.name, []).append(
                    torch.from_numpy(scaled)
                )
    return sources


def draw(sources, size, count, rng):
    """Draw `count` crops of `size` pixels, favouring rare sources and detail."""
    names = sorted(sources)
    share = np.sqrt([len(sources[name]) for name in names])
    crops = []
    for name in rng.choice(names, count, p=share / share.sum()):
        best, detail = None, -1.0
        for _ in range(int(rng.integers(1, 4))):
            image = sources[name][rng.integers(len(sources[name]))]
            y = int(rng.integers(image.shape[0] - size + 1))
            x = int(rng.integers(image.shape[1] - size + 1))
            crop = image[y : y + size, x : x + size]
            if (spread := float(crop.diff(dim=0).abs().mean())) > detail:
                best, detail = crop, spread
        best = torch.rot90(best, int(rng.integers(4)))
        crops.append(best.flip(0) if rng.integers(2) else best)
    return torch.stack(crops)[:, None]


def batch(sources, factor, patch, count, rng, noise):
    """Make (LR, HR) pairs of varied blur, noise and brightness."""
    truth = draw(sources, (patch + 2 * MARGIN) * factor, count, rng)
    gain = torch.from_numpy(rng.uniform(0.5, 1, (count, 1, 1, 1)).astype(np.float32))
    truth = truth * gain
    sigma = float(rng.uniform(0.3, 0.5))

    def log_uniform(low: float, high: float) -> torch.Tensor:
        values = np.exp(rng.uniform(math.log(low), math.log(high), (count, 1, 1, 1)))
        return torch.from_numpy(values.astype(np.float32))

    measured = ForwardModel(factor, sigma).measure(
        truth,
        photons=log_uniform(1000, 20000),
        read_noise=log_uniform(0.001, 0.006),
        generator=noise,
    )
    inner = slice(MARGIN, -MARGIN)
    outer = slice(MARGIN * factor, -MARGIN * factor)
    return measured[..., inner, inner], truth[..., outer, outer]


def main() -> None:
    """Train until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--patch", type=int, default=48)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    noise = torch.Generator().manual_seed(args.seed)
    sources = load(args.data, (args.patch + 2 * MARGIN) * args.factor)
    print({name: len(images) for name, images in sources.items()}, flush=True)

    model = ResidualGenerator(args.factor, width=args.width, blocks=args.blocks)
    if args.start:
        model.load_state_dict(load_file(args.start))
    model.float().to(memory_format=torch.channels_last)
    average = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.Adam(model.parameters(), lr=args.rate)

    begin = saved = time.monotonic()
    step, running = 0, 0.0
    while (done := (time.monotonic() - begin) / (60 * args.minutes)) < 1:
        warm = min(1.0, (step + 1) / 200)
        for group in optimiser.param_groups:
            group["lr"] = (
                args.rate * warm * (0.01 + 0.99 * math.cos(done * math.pi / 2) ** 2)
            )
        measured, truth = batch(
            sources, args.factor, args.patch, args.count, rng, noise
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(measured.to(memory_format=torch.channels_last))
        loss = F.l1_loss(output, truth)
        if not torch.isfinite(loss):
            raise SystemExit(
                f"diverged at step {step}; the last weights stay in {args.out}"
            )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            for key, value in model.state_dict().items():
                average[key].lerp_(value, 1 - decay)
        step += 1
        running += (loss.item() - running) / min(step, 500)
        if time.monotonic() - saved > 60 or step == 1:
            saved = time.monotonic()
            print(f"step {step} {done:.0%} loss {running:.5f}", flush=True)
            write(average, args.out)
    write(average, args.out)
    print(f"{step} steps of {args.count} patches of {args.patch} pixels", flush=True)


def write(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write half-precision weights, whole or not at all."""
    part = path.with_suffix(".part")
    save_file({k: v.half().contiguous() for k, v in weights.items()}, part)
    part.replace(path)


if __name__ == "__main__":
    main()
