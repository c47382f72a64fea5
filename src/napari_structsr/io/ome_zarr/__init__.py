"""OME-Zarr images: read, written chunk by chunk, and resumed."""
