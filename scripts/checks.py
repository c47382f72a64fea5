"""Run the checks of this repository one after the other, and say how each ended.

    python -m tox                       # all, in one environment
    python -m tox -- style gui          # some of them
    python -m tox -- core -- -k tiles   # what follows a second -- goes to pytest
    python -m tox -- demo               # a real stack, start to end; leaves demo/

A check that fails stops none of the others, and makes the whole fail; what it said last
is said again at the end, where it is found.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
_SAID_AGAIN = 40  # lines of a check that failed
PYTHON = (sys.executable, "-m")
PYTEST = (*PYTHON, "pytest")
# napari and Qt are installed beside the rest, and hidden from what lies below them
WITHOUT_GUI = {
    "PYTHONPATH": str(ROOT / "tests" / "without_gui"),
    "STRUCTSR_WITHOUT_GUI": "1",
    # cores that share the tests are in use; more threads would wait for each other
    "OMP_NUM_THREADS": "1",
}
CHECKS: dict[str, list[tuple[str, ...]]] = {
    "style": [
        (*PYTHON, "ruff", "check", "."),
        (*PYTHON, "ruff", "format", "--check", "."),
    ],
    "layers": [("lint-imports",)],
    "types": [(*PYTHON, "mypy")],
    "package": [
        (*PYTHON, "build", "--outdir", "{tmp}"),
        (*PYTHON, "twine", "check", "--strict", "{tmp}/*"),
        ("check-wheel-contents", "{tmp}"),
        (*PYTHON, "npe2", "validate", "napari-structsr"),
    ],
    "docs": [("zensical", "build", "--strict", "--clean")],
    "core": [(*PYTEST, "-n", "auto", "--ignore", "tests/gui", "{pytest}")],
    "faults": [
        (*PYTHON, "benchmarks.faults_campaign", "--quick", "--out", "{tmp}"),
    ],
    # layers are read below the user interface, and can be tested where napari is
    "gui": [(*PYTEST, "tests/gui", "tests/io/test_source_layer.py", "{pytest}")],
    "demo": [("structsr", "demo", "demo")],
}
SURROUNDINGS: dict[str, Mapping[str, str]] = {
    "core": WITHOUT_GUI,
    "faults": WITHOUT_GUI,
    "gui": {"NAPARI_STRICT_QT": "1"},
}
# the demonstration is for people to look at, and its command is tested in core
BY_DEFAULT = [name for name in CHECKS if name != "demo"]


def main(words: list[str]) -> int:
    """Run the checks that are named, or all; return 1 if one of them failed."""
    split = words.index("--") if "--" in words else len(words)
    names, for_pytest = words[:split] or BY_DEFAULT, words[split + 1 :]
    if unknown := set(names) - set(CHECKS):
        print(f"no check is named {', '.join(sorted(unknown))}; there are:", *CHECKS)
        return 2
    ended = []
    for name in names:
        began = time.monotonic()
        said = run_check(name, for_pytest)
        ended.append((name, said, time.monotonic() - began))
    for name, said, _ in ended:
        if said is not None:
            print(f"\n--- {name} failed, and ended with:", *said, sep="\n")
    for name, said, seconds in ended:
        print(f"{name:8} {'passed' if said is None else 'FAILED'} {seconds:6.0f} s")
    return 0 if all(said is None for _, said, _ in ended) else 1


def run_check(name: str, for_pytest: list[str]) -> list[str] | None:
    """Run the commands of one check until one fails.

    Return the last lines of the one that failed; None if all passed.
    """
    surroundings = os.environ | SURROUNDINGS.get(name, {})
    with tempfile.TemporaryDirectory() as folder:
        for command in CHECKS[name]:
            line = fill_in(command, Path(folder), for_pytest)
            print(f"\n--- {name}:", *line, flush=True)
            said: deque[str] = deque(maxlen=_SAID_AGAIN)
            with subprocess.Popen(
                line,
                cwd=ROOT,
                env=surroundings,
                text=True,
                errors="replace",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as process:
                assert process.stdout is not None
                for said_line in process.stdout:
                    print(said_line, end="", flush=True)
                    said.append(said_line.rstrip("\n"))
            if process.returncode:
                return list(said)
    return None


def fill_in(command: tuple[str, ...], folder: Path, for_pytest: list[str]) -> list[str]:
    """Return a command with its folder, the files in it, and the words for pytest."""
    line: list[str] = []
    for word in command:
        if word == "{pytest}":
            line += for_pytest
        elif word == "{tmp}/*":
            line += map(str, sorted(folder.iterdir()))
        else:
            line.append(word.replace("{tmp}", str(folder)))
    return line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
