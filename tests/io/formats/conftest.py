"""Files as instruments write them, as the campaign of faults makes them too."""

import pytest

from benchmarks.faults_campaign import instrument_files


@pytest.fixture(scope="session")
def write_czi():
    """Return a function that writes a CZI of some blocks, uncompressed."""
    return instrument_files.write_czi


@pytest.fixture(scope="session")
def write_lif():
    """Return a function that writes a LIF of 16-bit images with the axes t c z y x."""
    return instrument_files.write_lif
