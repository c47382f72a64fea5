"""What an operating system refuses is no fault of the program."""

import errno
import os
import re

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from napari_structsr.engine.events import Failed
from napari_structsr.engine.failures import yield_failures


def said(error):
    def job():
        raise error
        yield

    (failed,) = yield_failures(job(), "a job")
    assert isinstance(failed, Failed)
    return str(failed.error)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "choose a folder"),
        (errno.EROFS, "choose another folder"),
        (errno.EEXIST, "file of that name"),
        (errno.ENOENT, "check that it is there"),
        (errno.EIO, "check that it is there"),
    ],
)
def test_a_disk_that_refuses_is_named_with_what_to_do(number, word, caplog):
    text = said(OSError(number, os.strerror(number), "/data/model"))
    assert "/data/model" in text
    assert word in text
    assert "fault of the program" not in text
    assert not caplog.records  # a traceback helps nobody here


def test_a_full_disk_is_known_from_safetensors(tmp_path):
    """Its error holds the number in its text alone."""
    with pytest.raises(SafetensorError) as caught:
        save_file({"a": np.zeros(3)}, tmp_path / "gone" / "a.safetensors")
    assert "fault of the program" in said(caught.value)
    text = str(caught.value)
    # in the words of whatever version is installed, and of others
    number = re.compile(rf"(?<=os error ){errno.ENOENT}\b|(?<=code: ){errno.ENOENT}\b")
    full, found = number.subn(str(errno.ENOSPC), text)
    assert found == 1
    old = "Error while serializing: IoError(Os { code: 28, kind: StorageFull })"
    new = "Error while serializing: I/O error: No space left (os error 28)"
    for one in (full, old, new):
        assert "free some space" in said(SafetensorError(one))


def test_anything_else_is_to_be_reported():
    assert "report it" in said(KeyError("x"))
