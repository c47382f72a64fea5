"""The user interface; the only package that knows napari and Qt."""
