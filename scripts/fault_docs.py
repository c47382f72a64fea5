"""Put the section on planted faults into docs/structure-error.md.

    structsr faults --data DIR --out OUT
    python scripts/fault_docs.py OUT [SOURCE]

The section is scripts/planted-faults.template.md. There, a line ``[[title]]`` becomes
what faults.md of the run holds under that heading, and ``[[conditions]]`` its first
paragraph. The figure of SOURCE, by default the first one, becomes
docs/images/planted-faults.png. The rest of the page stays as it is.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "scripts/planted-faults.template.md"
PAGE = ROOT / "docs/structure-error.md"
FIGURE = ROOT / "docs/images/planted-faults.png"


def main() -> None:
    """Write the section and the figure."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    run = Path(sys.argv[1])
    found = run / "faults.md"
    if not found.exists():
        sys.exit(f"{run}: there is no faults.md; the run did not finish")
    figures = sorted(run.glob("faults-*.png"))
    if len(sys.argv) == 3:
        figures = [run / f"faults-{sys.argv[2]}.png"]
    section = filled(
        TEMPLATE.read_text(encoding="utf-8"), found.read_text(encoding="utf-8")
    )
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(replaced(page, section), encoding="utf-8")
    shutil.copyfile(figures[0], FIGURE)
    print("wrote", PAGE, "and", FIGURE)


def filled(template: str, report: str) -> str:
    """Put what a run wrote into the template."""
    parts = re.split(r"^#+ (.+)\n", report, flags=re.M)
    blocks = {
        title: body.strip()
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    blocks["conditions"] = blocks["Planted faults"].split("\n\n")[0]

    def block(found: re.Match[str]) -> str:
        """Return what a directive stands for."""
        if found[1] not in blocks:
            sys.exit(f"the run has no part titled {found[1]!r}; run it again")
        return blocks[found[1]]

    return re.sub(r"\[\[([^\]]+)\]\]", block, template)


def replaced(page: str, section: str) -> str:
    """Put a section, which begins with its heading, where the page has it, or last."""
    heading = section.splitlines()[0]
    part = re.compile(rf"^{re.escape(heading)}\n.*?(?=^#{{1,2}} |\Z)", re.M | re.S)
    if part.search(page):
        return part.sub(lambda _: section.rstrip() + "\n\n", page).rstrip() + "\n"
    return (page.rstrip() + "\n\n" if page.strip() else "") + section.rstrip() + "\n"


if __name__ == "__main__":
    main()
