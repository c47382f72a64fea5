"""Tell all files where the repository lies.

    python scripts/name_repository.py https://github.com/ORGANISATION/NAME

What stands in `pyproject.toml` is replaced, there and in all that repeat it: the
repository, the page of its documentation on GitHub Pages, and its raw files.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = (
    ".github/ISSUE_TEMPLATE/config.yml",
    "CITATION.cff",
    "docs/install.md",
    "mkdocs.yml",
    "packaging/conda/recipe.yaml",
    "pyproject.toml",
    "src/napari_structsr/gui/inspect/legend.py",
    "src/napari_structsr/zoo/exchange/package.py",
)


def read_home(root: Path = ROOT) -> str:
    """Return the address of the repository, as pyproject.toml has it."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    home: str = tomllib.loads(text)["project"]["urls"]["Homepage"]
    return home


def list_addresses(home: str) -> tuple[str, str, str]:
    """Return the addresses of repository, documentation and raw files."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+?)/?", home)
    if not found:
        raise SystemExit(f"{home} is not like https://github.com/ORGANISATION/NAME")
    owner, name = found.groups()
    return (
        f"https://github.com/{owner}/{name}",
        f"https://{owner.lower()}.github.io/{name}",
        f"https://raw.githubusercontent.com/{owner}/{name}",
    )


def name_repository(home: str, root: Path = ROOT) -> None:
    """Write the addresses of a repository into all files that name them."""
    pairs = list(
        zip(list_addresses(read_home(root)), list_addresses(home), strict=True)
    )
    for place in PLACES:
        text = (root / place).read_text(encoding="utf-8")
        for old, new in pairs:
            text = text.replace(old, new)
        (root / place).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    name_repository(sys.argv[1])
