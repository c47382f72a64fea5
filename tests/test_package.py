"""What importing costs, what the package promises, and what repeats its description."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import napari_structsr
from scripts.name_repository import (
    PLACES,
    list_addresses,
    name_repository,
    read_home,
)

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIG["project"]
RECIPE = yaml.safe_load(
    (ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8")
)
# names that differ between PyPI and conda-forge
CONDA = {
    "dask[array]": "dask-core",
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
}


@pytest.mark.parametrize("name", napari_structsr.__all__)
def test_public_names_exist_and_are_documented(name):
    assert getattr(napari_structsr, name).__doc__


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="sharpen"):
        _ = napari_structsr.sharpen


@pytest.mark.parametrize("module", ["napari_structsr", "napari_structsr.io.open"])
def test_importing_is_cheap(module):
    code = (
        f"import sys, {module}; "
        "heavy = {'torch', 'zarr', 'dask', 'tifffile', 'skimage', 'napari', 'qtpy'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_the_recipe_asks_for_what_the_package_asks_for():
    asked = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["report"]
    expected = {f"python {PROJECT['requires-python']}"}
    for requirement in asked:
        name, least = requirement.split(">=")
        expected.add(f"{CONDA.get(name, name)} >={least}")
    assert set(RECIPE["requirements"]["run"]) == expected


def test_the_recipe_builds_what_the_package_is():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert set(RECIPE["requirements"]["host"]) == {
        f"python {oldest}.*",
        "pip",
        *CONFIG["build-system"]["requires"],
    }
    hatch = CONFIG["tool"]["hatch"]["version"]
    assert RECIPE["context"]["version"] == hatch["fallback-version"]
    assert RECIPE["context"]["name"] == PROJECT["name"]
    scripts = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == scripts
    assert RECIPE["about"]["summary"] == PROJECT["description"]
    assert RECIPE["about"]["license"] == PROJECT["license"]


def test_the_container_has_a_python_and_extras_of_the_package():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    pythons = set(re.findall(r"^FROM python:([\d.]+)-", text, re.M))
    assert len(pythons) == 1
    assert (
        f"Programming Language :: Python :: {pythons.pop()}" in PROJECT["classifiers"]
    )
    extras = re.search(r"\*\.whl\)\[([\w,]+)\]", text)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert re.search(r'ENTRYPOINT \["(\w+)"\]', text)[1] in PROJECT["scripts"]


def test_all_files_name_one_repository():
    expected = list_addresses(PROJECT["urls"]["Homepage"])
    address = re.compile(
        r"https://(?:github\.com|raw\.githubusercontent\.com)/[\w.-]+/napari-structsr"
        r"|https://[\w.-]+\.github\.io/[\w-]+"
    )
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if tracked.returncode:
        pytest.skip("this is no clone, so that nobody knows which files belong to it")
    named = set()
    for place in tracked.stdout.split("\0"):
        path = ROOT / place
        if path.suffix in {".cff", ".json", ".md", ".py", ".toml", ".yaml", ".yml"}:
            found = address.findall(path.read_text(encoding="utf-8"))
            if found and place != "tests/test_package.py":
                named.add(place)
                assert set(found) <= set(expected), place
    assert named == set(PLACES)


def test_one_command_names_another_repository(tmp_path):
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / place, tmp_path / place)
    old = list_addresses(PROJECT["urls"]["Homepage"])
    name_repository("https://github.com/Somebody/sharper", tmp_path)
    assert read_home(tmp_path) == "https://github.com/Somebody/sharper"
    for place in PLACES:
        text = (tmp_path / place).read_text(encoding="utf-8")
        assert not any(address in text for address in old), place
    assert (
        "https://somebody.github.io/sharper/" in (tmp_path / "mkdocs.yml").read_text()
    )
    with pytest.raises(SystemExit, match=r"not like https://github\.com"):
        name_repository("git@github.com:Somebody/sharper", tmp_path)
