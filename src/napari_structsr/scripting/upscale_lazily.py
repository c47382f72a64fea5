"""`sr.lazy_upscale`: an image of any size, upscaled where it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_structsr.errors import SettingsError
from napari_structsr.scripting.arguments import (
    choose_model,
    make_settings,
    split_keywords,
)
from napari_structsr.upscaling.lazy_image import LazyImage, open_lazy_image
from napari_structsr.upscaling.settings import UpscaleSettings


def lazy_upscale(
    image: Any,
    *,
    factor: int | None = None,
    model: Any = "faithful",
    sharpness: float = 1.0,
    axes: str | None = None,
    channels: Sequence[int | str] | int | str | None = None,
    psf_sigma: float | None = None,
    memory: int = 1 << 29,
    settings: UpscaleSettings | None = None,
    **choices: Any,
) -> LazyImage:
    """Open an image upscaled; tiles are computed when they are read.

    Parameters
    ----------
    image
        Path of an image, an array, an image layer of napari, or whatever else
        `open_source` takes. A pyramid is used for the coarser levels; of an image
        without one they are means, for which all of a plane is read.
    factor, model, sharpness, axes, channels, psf_sigma, settings, **choices
        As of `upscale`.
    memory
        Bytes of computed tiles that are kept.

    Returns
    -------
    LazyImage
        An array of the axes t, c, z, y, x, s, as far as present, which computes what is
        indexed. Its pixels are those of `upscale`, but for rounding; of a large sparse
        image the range may differ, see `open_lazy_image`. ``levels`` is a pyramid for a
        viewer, ``to_dask()`` a dask array, ``spec`` says pixel size and channels.

    Raises
    ------
    ArgumentError
        If an argument is of a kind that is not taken.
    StructsrError
        If the image cannot be read or upscaled, in a sentence with the remedy.

    Examples
    --------
    >>> import napari_structsr as sr
    >>> image = sr.lazy_upscale("large.ome.zarr", factor=2)
    >>> corner = image[0, :200, :200]
    """
    named = {"axes": axes, "channels": channels, "psf_sigma": psf_sigma}
    reading, chosen = split_keywords("lazy_upscale", named | choices, UpscaleSettings)
    if part := reading.keys() & {"planes", "region"}:
        # the levels of a pyramid count other pixels
        raise SettingsError(
            f"{' and '.join(sorted(part))} came, and a lazy image computes no more "
            "than is looked at; leave the part out, and index what is returned"
        )
    return open_lazy_image(
        image,
        choose_model(model, factor=factor, sharpness=sharpness),
        settings=make_settings(UpscaleSettings, settings, chosen),
        reading=reading,
        memory=memory,
    )
