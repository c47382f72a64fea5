"""TIFF files: plain, ImageJ, OME, tiled, and many as one image."""
