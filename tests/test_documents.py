"""What README and the documentation tell people to type works as it is typed.

Commands on images are run on small ones. What is only parsed, or not looked at, stands
in a table with the reason.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer
from typer.testing import CliRunner

import napari_structsr as sr
from napari_structsr.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))

# by their first words
PARSED_ONLY = {
    "benchmark": "minutes; run by tests/benchmark",
    "calibrate": "minutes; run by tests/calibration",
    "demo": "half a minute; run by tests/benchmark/test_demo.py",
    "export": "seconds each; run by tests/zoo/test_export.py",
    "finetune": "minutes; run by tests/finetuning",
    "train": "minutes; run by tests/training",
}
NOT_OURS = {
    "apptainer": "containers of a cluster",
    "cd": "a folder of the reader",
    "dask": "a cluster; what workers do is tested in tests/engine",
    "docker": "there is none here",
    "export": "variables of a batch system",
    "git": "the network",
    "module": "a cluster",
    "napari": "opens a window; what it opens is tested in tests/gui",
    "pip": "the network; tests/test_dependencies.py looks at the extras",
    "source": "an environment of the reader",
}
OPTICS = """<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0"><Objective ID="Objective:0" LensNA="1.2"/></Instrument>
<Image ID="Image:0"><ObjectiveSettings ID="Objective:0"/>
<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="112" SizeY="144"
 SizeZ="4" SizeC="2" SizeT="1" PhysicalSizeX="0.1" PhysicalSizeY="0.1">
<Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1" EmissionWavelength="461"/>
<Channel ID="Channel:0:1" Name="Cy5" SamplesPerPixel="1" EmissionWavelength="670"/>
<TiffData/></Pixels></Image></OME>"""


def list_blocks(language):
    """Return page and text of every block of code in a language."""
    block = re.compile(rf"^```{language}\n(.*?)^```", re.S | re.M)
    return [
        (path.name, text)
        for path in PAGES
        for text in block.findall(path.read_text(encoding="utf-8"))
    ]


def list_commands():
    """Return page and words of every command, each once."""
    found = {}
    for page, block in list_blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                if words := shlex.split(part, comments=True):
                    found.setdefault(tuple(words), page)
    return [(page, words) for words, page in found.items()]


COMMANDS = list_commands()
OURS = [(page, words[1:]) for page, words in COMMANDS if words[0] == "structsr"]
OTHERS = [(page, words) for page, words in COMMANDS if words[0] != "structsr"]


def name_case(case):
    return f"{case[0]}: {' '.join(case[1])}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the images that the commands name, small."""
    folder = tmp_path_factory.mktemp("documents")
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:144, :112]
    planes = np.full((2, 4, 144, 112), 200.0)
    for y, x in ((120, 88), (40, 61)):  # beads where the pages point at them
        planes += 4000 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2 / 1.3**2)
    planes += 900 / (1 + np.exp(-(columns - 75) / 0.6))  # an edge, blurred as well
    planes = np.clip(random.poisson(planes), 0, 65535).astype(np.uint16)
    grey = {"photometric": "minisblack"}
    plain = {"metadata": None} | grey
    tifffile.imwrite(folder / "cells.ome.tif", planes, description=OPTICS, **plain)
    calibrated = grey | {
        "imagej": True,
        "resolution": (10, 10),
        "metadata": {"unit": "um"},
    }
    for name in ("cells", "coarse", "low"):
        tifffile.imwrite(folder / f"{name}.tif", planes[0, 0, :96, :96], **calibrated)
    fine = np.kron(planes[0, 0, :96, :96], np.ones((2, 2))).astype(np.uint16)
    for name in ("truth", "fine", "high"):
        tifffile.imwrite(
            folder / f"{name}.tif", fine, **calibrated | {"resolution": (20, 20)}
        )
    for name in ("scans/a", "scans/b", "more/a"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / "cells.tif", folder / f"{name}.tif")
    for name in ("huge", "plate"):
        sr.upscale(
            folder / "cells.ome.tif",
            folder / f"{name}.ome.zarr",
            model="bilinear",
            progress=False,
        )
    return folder


def expand(words):
    """Fill patterns in with what is in the working folder, as a shell does."""
    found = []
    for word in words:
        matches = sorted(Path().glob(word)) if "*" in word else []
        found += [str(path) for path in matches] or [word]
    return found


def parse(words):
    """Let the parser of the command line read words; a fault is an exception."""
    group = typer.main.get_command(app)
    context = typer.Context(group)
    command = group.get_command(context, words[0])
    assert command is not None, f"structsr has no command {words[0]}"
    return command.make_context(words[0], list(words[1:]))


def can_run(words, folder):
    """Tell whether the images of a command are here, and no graphics card is needed."""
    inputs = [word for word in words[1:3] if re.search(r"\.(tif|zarr)$", word)][:1]
    # models and calibrations that the reader would have made before
    foreign = re.compile(r"(?!http).*\.(json|onnx|pth|safetensors|zip)|cuda")
    return (
        words[0] in {"clean", "info", "inspect", "models", "upscale"}
        # a cluster asks for sockets, and has tests of its own
        and "--workers" not in words
        and not any(map(foreign.fullmatch, words))
        and all((folder / name).exists() for name in inputs)
    )


@pytest.mark.parametrize("case", OURS, ids=name_case)
def test_a_command_does_what_the_page_says(case, folder, monkeypatch):
    monkeypatch.chdir(folder)
    words = expand(case[1])
    if words[0] == "inspect" and not (folder / words[1]).exists():
        # made by the command before it on its page
        before = ["scans/a.tif", "scans/b.tif", "--out", words[1]]
        if words[1].endswith(".zarr"):
            before = ["cells.tif", words[1]]
        made = CliRunner().invoke(app, ["upscale", *before])
        assert made.exit_code == 0, made.output
    if not can_run(words, folder):
        parse(words)
        return
    if words[0] == "upscale" and "--out" not in words:
        # pages name one place for several ways to do it
        shutil.rmtree(folder / words[2], ignore_errors=True)
    if words[0] == "inspect":
        shutil.rmtree(folder / "maps", ignore_errors=True)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def test_a_command_with_a_fault_would_be_found():
    with pytest.raises(Exception, match=r"No such option:? .?--sharpnes"):
        parse(["upscale", "cells.tif", "out.ome.zarr", "--sharpnes", "0.5"])
    with pytest.raises(AssertionError, match="sharpen"):
        parse(["sharpen", "cells.tif"])


def test_what_is_only_parsed_is_run_elsewhere():
    parsed = {words[0] for _, words in OURS} - {"clean", "info", "inspect", "models"}
    assert parsed - {"upscale"} <= set(PARSED_ONLY)


@pytest.mark.parametrize("case", OTHERS, ids=name_case)
def test_a_command_of_others_names_what_there_is(case):
    words = list(case[1])
    if Path(words[0]).name in NOT_OURS or "=" in words[0]:
        return
    assert words[0] == "python"
    if words[1] == "-m" and words[2] in ("pip", "venv"):
        return
    if words[1:3] == ["-m", "tox"]:
        checks = (ROOT / "scripts" / "checks.py").read_text(encoding="utf-8")
        assert all(f'"{word}"' in checks for word in words[4:])
        return
    # a program of the repository: it is there, and knows the options
    program = ROOT / words[1]
    if words[1] == "-m":
        program = ROOT / words[2].replace(".", "/")
        program = program if program.is_dir() else program.with_suffix(".py")
    assert program.exists()
    files = program.rglob("*.py") if program.is_dir() else [program]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for option in (word for word in words if word.startswith("--")):
        assert option in text or option[2:].replace("-", "_") in text, option


@pytest.mark.parametrize("case", list_blocks("python"), ids=lambda case: case[0])
def test_names_in_examples_are_public(case):
    for node in ast.walk(ast.parse(case[1])):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "sr":
            assert hasattr(sr, node.attr), f"{case[0]} uses sr.{node.attr}"


def test_the_example_of_the_first_page_runs(folder, tmp_path, monkeypatch):
    examples = [text for page, text in list_blocks("python") if page == "README.md"]
    shutil.copy(folder / "cells.tif", tmp_path)
    monkeypatch.chdir(tmp_path)
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_the_first_cell_to_the_last(path, tmp_path):
    for name in ("nbclient", "ipykernel"):
        assert importlib.util.find_spec(name), f"{name} belongs to the group test"
    # in a process of its own, which may have its sockets and its warnings
    code = (
        "import sys, nbclient, nbformat; "
        "notebook = nbformat.read(sys.argv[1], as_version=4); "
        "nbclient.NotebookClient(notebook, timeout=600).execute()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_pictures_and_pages_that_readme_names_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_picture_is_on_a_page():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "mkdocs.yml"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    pictures = [path.name for path in (ROOT / "docs" / "images").iterdir()]
    assert pictures
    assert [name for name in pictures if f"images/{name}" not in text] == []


def test_the_icon_is_the_same_everywhere():
    shipped = Path(sr.__file__).with_name("icon.svg").read_bytes()
    assert (ROOT / "docs" / "images" / "icon.svg").read_bytes() == shipped
