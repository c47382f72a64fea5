"""Damaged files that once broke a reader, each laid over whole ones of its family.

`corpus/FAMILY/NUMBER` holds what was damaged, and where it lay. What the fuzz finds
comes here with the change that mends it.
"""

import shutil
from pathlib import Path

import pytest

from benchmarks.faults_campaign.fuzz import READERS
from benchmarks.faults_campaign.odd_files import find_fault

CORPUS = Path(__file__).with_name("corpus")
CASES = sorted(path for path in CORPUS.glob("*/*") if path.is_dir())
# a file may well warn; here it must not break what reads it
pytestmark = pytest.mark.filterwarnings("ignore")
FAMILIES = {name.replace(" ", "-"): family for name, family in READERS.items()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.parent.name} {case.name}"
)
def test_what_broke_a_reader_once_is_read_or_refused(case, tmp_path):
    family = FAMILIES[case.parent.name]
    opened = family.prepare(tmp_path / "files")
    shutil.copytree(case, tmp_path / "files", dirs_exist_ok=True)
    assert find_fault(family.read, opened) is None


def test_the_corpus_is_small_and_replaces_what_families_have(tmp_path):
    files = [path for path in CORPUS.glob("*/*/**/*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2**15
    for name in {case.parent.name for case in CASES}:
        FAMILIES[name].prepare(tmp_path / name)
    for path in files:
        name, _, inner = path.relative_to(CORPUS).as_posix().split("/", 2)
        assert (tmp_path / name / inner).exists(), path
