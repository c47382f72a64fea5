"""Put a page of the documentation together from what `structsr benchmark` wrote.

    python scripts/benchmark_docs.py benchmarks shipped=OUT
    python scripts/benchmark_docs.py benchmark-tables shipped=OUT matched=OUT speed=OUT

The first word is the page, such as docs/benchmarks.md, which is made from
scripts/benchmarks.template.md. Each other one names a run by the label that the
template uses. There, a line ``[[label track title]]`` becomes the table of that title,
``[[label track summary]]`` the first tables of a track, ``[[label track all]]`` all of
them, ``[[label pairs factor]]`` the tables of measured pairs, ``[[label legend]]`` the
list of measures, ``[[label methods track]]`` the names of methods, ``[[label speed
track]]`` the times, ``[[label figure name text]]`` a figure, copied to docs/images.
What stands between ``[[begin label]]`` and ``[[end label]]`` is left out if no such run
is given.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write the page."""
    name, *words = sys.argv[1:] or [""]
    template = ROOT / f"scripts/{name}.template.md"
    if not template.exists() or not words or any("=" not in word for word in words):
        sys.exit(__doc__)
    runs = {
        label: Path(folder)
        for label, _, folder in (word.partition("=") for word in words)
    }
    for label, folder in runs.items():
        if not any((folder / page).exists() for page in ("quality.md", "paired.md")):
            sys.exit(f"{label}={folder}: there are no tables; the run did not finish")
    print("wrote", write_page(runs, template, ROOT / f"docs/{name}.md"))


def write_page(runs: dict[str, Path], template: Path, page: Path) -> Path:
    """Fill the template in; figures go to the folder images beside the page."""
    text = template.read_text(encoding="utf-8")
    for label in re.findall(r"\[\[begin (\w+)\]\]", text):
        block = re.compile(rf"\[\[begin {label}\]\]\n(.*?)\[\[end {label}\]\]\n", re.S)
        text = (
            block.sub(lambda found: found[1], text)
            if label in runs
            else block.sub("", text)
        )

    def fill(found: re.Match[str]) -> str:
        """Return what a directive stands for."""
        label, what, rest = (*found[1].split(" ", 2), "")[:3]
        if label not in runs:
            sys.exit(f"the template needs a run named {label}: give {label}=OUT")
        return take_piece(runs[label], label, what, rest, page)

    page.write_text(re.sub(r"\[\[([^\]]+)\]\]", fill, text), encoding="utf-8")
    return page


def take_piece(run: Path, label: str, what: str, rest: str, page: Path) -> str:
    """Return a table, a list or a figure of one run."""
    if what == "figure":
        name, _, caption = rest.partition(" ")
        images = page.parent / "images"
        images.mkdir(exist_ok=True)
        shutil.copyfile(run / name, images / f"benchmark-{label}-{name}")
        return f"![{caption}](images/benchmark-{label}-{name})"
    if what == "methods":
        quality = json.loads((run / "quality.json").read_text(encoding="utf-8"))
        return ",".join(quality["tracks"][rest]["methods"])
    if what == "legend":
        return take_section(
            (run / "quality.md").read_text(encoding="utf-8"), "Quality"
        )[0]
    if what == "pairs":
        text = (run / "paired.md").read_text(encoding="utf-8")
        return "\n\n".join(take_section(text, rest))
    if what == "speed":
        text = (run / "speed.md").read_text(encoding="utf-8")
        return "\n\n".join(take_section(text, "Speed")[:1] + take_section(text, rest))
    blocks = take_section((run / "quality.md").read_text(encoding="utf-8"), what)
    titles = [index for index, block in enumerate(blocks) if block.endswith(":")][1:]
    if rest == "all":
        return "\n\n".join([f"## {what}", *blocks])
    if rest == "summary":
        return "\n\n".join([f"### {what}", *blocks[: titles[0]]])
    for index in titles:
        if blocks[index] == f"{rest}:":
            return "\n\n".join(blocks[index : index + 2])
    sys.exit(f"{run} has no table titled {rest!r} for {what}; run it again")


def take_section(text: str, title: str) -> list[str]:
    """Return the paragraphs under a heading."""
    parts = re.split(r"^#+ (.+)$", text, flags=re.M)
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name == title:
            return body.strip().split("\n\n")
    sys.exit(f"there is no section {title!r}; the run lacks it")


if __name__ == "__main__":
    main()
