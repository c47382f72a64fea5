"""Tables of gains over bicubic, with every source behind the mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.optics.scenes import LIGHT, SHAPES, SIGMAS

NOISY_TRUTH = ("n2v_sem_noisy", "stedactin_sted", "atomsegnet_stem", "nasa_superalloy")
"""Sources whose truth is itself noise: shown, and kept out of means."""

_POINTS = [(sigma, photons) for photons in LIGHT for sigma in SIGMAS]
_WORST = (
    "faithful",
    "told",
    "width 25% too wide",
    "width 25% too narrow",
    "finer pixels, same optics",
)


def write_tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return Markdown: means over sources, worst sources, and each source.

    Parameters
    ----------
    rows
        One for each source, plane, condition and method, with its PSNR in dB.
    """
    scores: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in rows:
        key = row["source"], row["method"], float(row["sigma"]), int(row["photons"])
        scores[key].append(float(row["psnr"]))
    mean = {key: float(np.mean(values)) for key, values in scores.items()}
    sources = list(dict.fromkeys(str(row["source"]) for row in rows))
    kept = [source for source in sources if source not in NOISY_TRUTH]
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))

    def gains(source: str, method: str) -> list[float]:
        shape, _, rest = method.partition(", ")
        base = f"{shape}, bicubic" if shape in SHAPES and rest else "bicubic"
        return [mean[source, method, *p] - mean[source, base, *p] for p in _POINTS]

    def over_sources(method: str) -> np.ndarray:
        return np.array([gains(source, method) for source in kept])

    heading = " | ".join(f"{sigma:g}, {photons}" for sigma, photons in _POINTS)
    head = [f"| sigma, photons | {heading} |", "|---" * (len(_POINTS) + 1) + "|"]
    psnr = np.mean([[mean[s, "bicubic", *p] for p in _POINTS] for s in kept], axis=0)
    lines = [f"Gain over bicubic in dB, mean over {len(kept)} sources.", "", *head]
    lines.append(f"| bicubic, PSNR | {' | '.join(f'{value:.2f}' for value in psnr)} |")
    shown = [name for name in methods if not name.endswith("bicubic")]
    lines += [_write_row(name, over_sources(name).mean(axis=0)) for name in shown]
    lines += ["", "The worst source of each.", "", *head]
    for name in _WORST:
        if name in methods:
            lines.append(_write_row(name, over_sources(name).min(axis=0)))
    lines += ["", "Told, by source.", "", *head]
    for source in [*kept, *(name for name in sources if name in NOISY_TRUTH)]:
        mark = " (noisy truth)" if source in NOISY_TRUTH else ""
        lines.append(_write_row(source + mark, gains(source, "told")))
    return "\n".join(lines)


def _write_row(name: str, values: Sequence[float] | np.ndarray) -> str:
    return f"| {name} | {' | '.join(f'{value:+.2f}' for value in values)} |"
