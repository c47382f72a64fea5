"""``python -m napari_structsr.cli``."""

from napari_structsr.cli import main

# processes that are started anew import this as another module
if __name__ == "__main__":
    main()
