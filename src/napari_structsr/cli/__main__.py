"""``python -m napari_structsr.cli``."""

from napari_structsr.cli import main

main()
