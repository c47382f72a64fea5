"""Put the section on planted faults into docs/structure-error.md.

    python -m benchmarks.faults --data DIR --out OUT
    python -m benchmarks.faults --data DIR --track x4-mild --out OUT4
    python scripts/fault_docs.py OUT OUT4 [SOURCE]

The section is scripts/planted-faults.template.md. There, a line ``[[title]]`` becomes
what faults.md of OUT holds under that heading, ``[[x4: title]]`` what that of OUT4
holds, and ``[[conditions]]`` the first paragraph. The figure of SOURCE, by default the
first one, becomes docs/images/planted-faults.png. The rest of the page stays as it is.
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
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    runs = [Path(word) for word in sys.argv[1:3]]
    figures = sorted(runs[0].glob("faults-*.png"))
    if len(sys.argv) == 4:
        figures = [runs[0] / f"faults-{sys.argv[3]}.png"]
    section = fill_template(
        TEMPLATE.read_text(encoding="utf-8"), *map(read_report, runs)
    )
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(replace_section(page, section), encoding="utf-8")
    shutil.copyfile(figures[0], FIGURE)
    print("wrote", PAGE, "and", FIGURE)


def read_report(run: Path) -> str:
    """Read what a run has written."""
    found = run / "faults.md"
    if not found.exists():
        sys.exit(f"{run}: there is no faults.md; the run did not finish")
    return found.read_text(encoding="utf-8")


def fill_template(template: str, report: str, larger: str) -> str:
    """Put what two runs wrote into the template."""
    blocks = _split_report(report)
    blocks |= {f"x4: {title}": body for title, body in _split_report(larger).items()}

    def find_block(found: re.Match[str]) -> str:
        """Return what a directive stands for."""
        if found[1] not in blocks:
            sys.exit(f"the run has no part titled {found[1]!r}; run it again")
        return blocks[found[1]]

    return re.sub(r"\[\[([^\]]+)\]\]", find_block, template)


def _split_report(report: str) -> dict[str, str]:
    """Return what stands under each heading of a report, and its conditions."""
    parts = re.split(r"^#+ (.+)\n", report, flags=re.M)
    blocks = {
        title: body.strip()
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    return blocks | {"conditions": blocks["Planted faults"].split("\n\n")[0]}


def replace_section(page: str, section: str) -> str:
    """Put a section, which begins with its heading, where the page has it, or last."""
    heading = section.splitlines()[0]
    part = re.compile(rf"^{re.escape(heading)}\n.*?(?=^#{{1,2}} |\Z)", re.M | re.S)
    if part.search(page):
        return part.sub(lambda _: section.rstrip() + "\n\n", page).rstrip() + "\n"
    return (page.rstrip() + "\n\n" if page.strip() else "") + section.rstrip() + "\n"


if __name__ == "__main__":
    main()
