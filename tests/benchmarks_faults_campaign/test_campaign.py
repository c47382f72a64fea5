"""The campaign finds what is planted; run as a whole by tox, it finds nothing."""

import os
import subprocess
import sys

import pytest

from benchmarks.faults_campaign.fuzz import READERS, damage
from benchmarks.faults_campaign.power_loss import KINDS
from benchmarks.faults_campaign.tally import Outcome, Tally, read_tallies, write_tables

if not hasattr(os, "fork"):
    pytest.skip("children are forked", allow_module_level=True)

# a process of its own, as this one has threads that a fork would break
_SCRIPT = """
import sys
from pathlib import Path
from benchmarks.faults_campaign.jobs import Job, Place
from benchmarks.faults_campaign.{module} import {attempt}

def write(more):
    import os
    Path("out.txt.part").write_text("all " * 1000)
    if {sync}:
        handle = os.open("out.txt.part", os.O_RDONLY)
        os.fsync(handle)
    os.replace("out.txt.part", "out.txt")
    if {sync}:
        os.fsync(os.open(".", os.O_RDONLY))

def write_in_place(more):
    if Path("out.txt").exists():
        return
    with open("out.txt", "w") as file:
        file.write("all " * 1000)
        open("other.txt", "w").close()

place = Place(Path(sys.argv[1]))
(place.work / "in").mkdir(parents=True)
place.log.mkdir()
job = Job("writing", {job}, ("out.txt",))
for tally in {attempt}(place, job, 9, 0{more}):
    print({{str(k): n for k, n in tally.counts.items()}}, tally.kills)
"""


def attempt(tmp_path, **words):
    script = _SCRIPT.format(**{"sync": False, "job": "write", "more": ""} | words)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "place")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return done.stdout


def test_a_job_that_writes_beside_survives_kills(tmp_path):
    said = attempt(tmp_path, module="kills", attempt="kill_at_events")
    assert "lost" not in said
    assert "'identical': 2} 2" in said


def test_a_job_that_writes_in_place_is_caught(tmp_path):
    said = attempt(
        tmp_path, module="kills", attempt="kill_at_events", job="write_in_place"
    )
    assert "'lost': 1" in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sync", [False, True])
def test_only_what_was_not_synchronised_is_lost(tmp_path, kind, sync):
    said = attempt(
        tmp_path,
        module="power_loss",
        attempt="lose_power",
        sync=sync,
        more=f", kind={kind!r}",
    )
    assert sync == ("lost" not in said)


def test_a_table_is_put_together_from_single_rows(tmp_path):
    for fault, outcome in (
        ("killed: one", Outcome.IDENTICAL),
        ("killed: two", Outcome.LOST),
    ):
        tally = Tally(fault, kills=3, row="kill")
        tally.add(outcome, "why")
        tally.write(tmp_path)
    text = write_tables(tmp_path, read_tallies(tmp_path, ["kill"]))
    assert "| killed | 6 | 2 | 1 | 0 | 1 | 0 | 0 |" in text
    assert "| two | 3 | 1 | 0 | 0 | 1 | 0 | 0 |" in text


def test_damage_changes_values_between_marks():
    assert damage(b'{"a": 1}', [(0, "value", b"null")]) == b"{null: 1}"
    assert damage(b"abc", [(1, "cut", b"")]) == b"ac"


def test_there_are_sixteen_readers_at_least():
    assert len(READERS) >= 16
