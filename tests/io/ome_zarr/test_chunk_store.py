from contextlib import closing

from napari_structsr.io.ome_zarr.chunk_store import Journal


def test_what_was_added_is_found_again_by_level(tmp_path):
    path = tmp_path / "journal.txt"
    with closing(Journal(path)) as journal:
        journal.add(0, 3)
        journal.add(1, 3)
        journal.add(0, 12)
    with closing(Journal(path)) as again:
        assert again.finished(0) == {3, 12}
        assert again.finished(1) == {3}
        assert again.finished(2) == frozenset()


def test_a_line_torn_by_a_power_cut_does_not_count(tmp_path):
    path = tmp_path / "journal.txt"
    path.write_text("0 3\n0 1")  # was to become 0 12
    with closing(Journal(path)) as journal:
        assert journal.finished(0) == {3}
        journal.add(0, 7)
    assert path.read_text() == "0 3\n0 7\n"


def test_removed_when_all_is_done(tmp_path):
    journal = Journal(tmp_path / "journal.txt")
    journal.add(0, 0)
    journal.remove()
    assert not (tmp_path / "journal.txt").exists()
