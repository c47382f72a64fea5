"""What counts as written: what the journal names and the disk still holds."""

from contextlib import closing

import pytest

from napari_structsr.io.ome_zarr.chunk_files import sum_files
from napari_structsr.io.ome_zarr.journal import JOURNAL, Journal


def sums_of(root, level, name):
    return sum_files(root / str(level), [name])


@pytest.fixture
def written(tmp_path):
    """Return a folder with a journal of two tiles of level 0 and one of level 1."""
    for name in ("0/c/0", "0/c/1", "1/c/0"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode() * 99)
    with closing(Journal(tmp_path)) as journal:
        journal.add(0, 0, sums_of(tmp_path, 0, "c/0"))
        journal.add(1, 3, sums_of(tmp_path, 1, "c/0"))
        journal.add(0, 12, sums_of(tmp_path, 0, "c/1"))
    return tmp_path


def test_what_was_added_is_found_again_by_level(written):
    with closing(Journal(written)) as journal:
        assert journal.finished(0) == {0, 12}
        assert journal.finished(1) == {3}
        assert len(journal) == 3
        assert list(journal.check((0, 1))) == []


def cut(file):
    file.write_bytes(file.read_bytes()[:7])


def zero(file):
    file.write_bytes(bytes(file.stat().st_size))


def flip(file):
    data = bytearray(file.read_bytes())
    data[50] ^= 1
    file.write_bytes(data)


def swell(file):
    file.write_bytes(file.read_bytes() + b"x")


def exchange(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [cut, zero, flip, swell, exchange])
def test_a_damaged_file_is_told_from_a_whole_one(written, damage):
    damage(written / "0" / "c" / "1")
    with closing(Journal(written)) as journal:
        assert list(journal.check((0, 1))) == [(0, 12)]


def test_a_file_that_is_gone_is_told_without_reading(written):
    (written / "0" / "c" / "0").unlink()
    with closing(Journal(written)) as journal:
        assert journal.find_missing() == (0, 0)
        assert list(journal.check((0, 1))) == [(0, 0)]


def test_dropped_tiles_stay_dropped(written):
    with closing(Journal(written)) as journal:
        journal.drop([(0, 12)])
        journal.add(1, 4, [])
    with closing(Journal(written)) as journal:
        assert journal.finished(0) == {0}
        assert journal.finished(1) == {3, 4}


@pytest.mark.parametrize(
    "torn",
    [
        b"0 1",  # may have been 12
        b"\0" * 40 + b"\n",
        b"0 1\xff\xfe c/0:1:00000000\n",
        b"0 5 ../../etc/passwd:1:00000000\n",
        b"0 -5\n",
        b"\n",
    ],
)
def test_a_line_torn_by_a_power_cut_does_not_count(written, torn):
    path = written / JOURNAL
    path.write_bytes(path.read_bytes() + torn)
    with closing(Journal(written)) as journal:
        assert journal.finished(0) == {0, 12}
        journal.add(0, 7, sums_of(written, 0, "c/0"))
    lines = path.read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["0", "0"],
        ["1", "3"],
        ["0", "12"],
        ["0", "7"],
    ]


def test_tiles_of_a_journal_without_sums_are_computed_again(written):
    """As earlier versions wrote it."""
    (written / JOURNAL).write_text("0 0\n0 12\n")
    with closing(Journal(written)) as journal:
        assert list(journal.check([0])) == [(0, 0), (0, 12)]


def test_removed_when_all_is_done(tmp_path):
    journal = Journal(tmp_path)
    journal.add(0, 0, [])
    journal.remove()
    assert list(tmp_path.iterdir()) == []
