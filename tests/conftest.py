"""Images made here, small and real enough to be sharpened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from skimage.data import cell

from napari_structsr.benchmark.tracks import TRACKS, truth_of

# shared machines are slow at times: a slow example is no failure
settings.register_profile("patient", deadline=None, print_blob=True)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def truth():
    """Return a floating cell, in 0..1, shape (192, 224)."""
    return truth_of(cell()[220:412, 180:404], 4)


@pytest.fixture(scope="session")
def measured(truth):
    """Measure the cell at half the resolution; shape (96, 112)."""
    return TRACKS["x2-mild"].measure(truth)


@pytest.fixture
def stack(measured):
    """Two channels of two planes in uint16, axes czyx, shape (2, 2, 96, 112)."""
    planes = [measured, measured[::-1], measured[:, ::-1], measured.T[:96, :112]]
    planes[3] = np.pad(planes[3], ((0, 0), (0, 112 - planes[3].shape[1])), mode="wrap")
    values = np.stack(planes).reshape(2, 2, 96, 112)
    return np.clip(values * 20000 + 500, 0, 65535).astype(np.uint16)
