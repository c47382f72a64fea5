"""``python -m napari_structsr``: the command `structsr`, wherever it is installed."""

from napari_structsr.cli import main

main()
