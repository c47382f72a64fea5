"""Threads of OpenMP that wait, which have to leave the cores to others."""

import os
import re
import subprocess
import sys

import pytest
import torch


@pytest.mark.skipif(not torch.backends.openmp.is_available(), reason="needs OpenMP")
@pytest.mark.parametrize(("told", "found"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_waiting_threads_sleep_unless_told_otherwise(told, found):
    known = {key: value for key, value in os.environ.items() if "OMP_" not in key}
    # OpenMP itself says what it has read
    known |= {"OMP_DISPLAY_ENV": "true"} | ({"OMP_WAIT_POLICY": told} if told else {})
    code = "import napari_structsr as sr; sr.UpscaleSettings(); import torch"

    done = subprocess.run(
        [sys.executable, "-c", code], env=known, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    policies = re.findall(r"OMP_WAIT_POLICY\s*=\s*'(\w+)'", done.stderr)
    assert policies
    assert set(policies) == {found}
