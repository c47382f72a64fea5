"""`sr.upscale`: whatever holds an image in, an array or a file out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari_structsr.core.names import expand_home
from napari_structsr.engine.events import Cancel
from napari_structsr.errors import check_kind
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import Sink
from napari_structsr.scripting.arguments import (
    check_cancel,
    check_client,
    choose_model,
    is_list,
    make_settings,
    split_keywords,
)
from napari_structsr.scripting.batch import (
    BatchError,
    Outcome,
    find_images,
    is_image_folder,
    run_batch,
)
from napari_structsr.scripting.dimensions import restore_kind
from napari_structsr.scripting.old_forms import keep_old_upscale
from napari_structsr.scripting.output import describe_image, is_output_folder
from napari_structsr.scripting.plates import (
    is_whole_plate,
    refuse_plate,
    upscale_plate,
)
from napari_structsr.scripting.progress import Display, choose_display, run_to_end
from napari_structsr.scripting.upscale_request import UpscaleRequest
from napari_structsr.upscaling.settings import UpscaleSettings


@keep_old_upscale
def upscale(
    image: Any,
    out: Any = None,
    *,
    factor: int | None = None,
    model: Any = "faithful",
    sharpness: float = 1.0,
    axes: str | None = None,
    channels: Sequence[int | str] | int | str | None = None,
    device: str | None = None,
    precision: str | None = None,
    tile: int | None = None,
    agreement: str | None = None,
    psf_sigma: float | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    cancel: Cancel | None = None,
    client: Any = None,
    settings: UpscaleSettings | None = None,
    **choices: Any,
) -> Any:
    """Upscale an image, or many.

    Parameters
    ----------
    image
        Path of an image; a numpy, dask, zarr or xarray array; an image layer of
        napari; or whatever else `open_source` takes. A list of these, or a folder,
        is upscaled one by one. Of a plate every field is, into a plate at `out`.
    out
        None returns pixels. A path ``name.ome.zarr`` or ``name.ome.tif`` writes a file;
        the same call goes on with one that was interrupted. A folder that exists, or
        whose name ends in "/", gets a file for each image, as ``cells-x2.ome.zarr``
        for ``cells.tif``; what an earlier call has finished there is kept. A `Sink`
        is taken too.
    factor
        1, 2 or 4 times the pixels along y and x; by default 2, or what the model has.
    model
        Name of a model, path of its file, or what `load_model` returns.
    sharpness
        Of the model `sharp`: 0 is `faithful`, 1 is `sharp`.
    axes
        Names of the dimensions, such as "tzyx", where the image does not say them.
    channels
        Index or name of the channels to keep, one or several; all by default.
    device, precision, tile, agreement, psf_sigma
        Settings of most use; see `UpscaleSettings`.
    overwrite
        Whether what is at `out` is replaced.
    progress
        None shows it in a terminal and in a notebook, True everywhere, False nowhere.
    cancel
        Stops the run from another thread when it is called.
    client
        ``distributed.Client`` of a dask cluster whose workers do it, from a file into
        a file that all of them reach under the same path.
    settings
        All settings in one; single ones that are given beside it win.
    **choices
        Any other setting of `UpscaleSettings` or keyword of `open_source`, by its name.

    Returns
    -------
    ndarray, DataArray or Path
        Pixels in the type of the image. An array or a layer keeps its dimensions, in
        their order; an image from a file has t, c, z, y, x, as far as present, and s
        for colour. A DataArray comes back as one, with its pixel size. With `out`, the
        absolute path of the file. For many images, a list of these.

    Raises
    ------
    ArgumentError
        If an argument is of a kind that is not taken; it is a TypeError as well.
    CancelError
        If it was cancelled.
    BatchError
        If some images of many failed; the others are done.
    StructsrError
        What else keeps the image from being upscaled, in a sentence with the remedy.

    Examples
    --------
    >>> import napari_structsr as sr
    >>> pixels = sr.upscale("in.tif", factor=2)
    >>> path = sr.upscale("in.tif", "out.ome.zarr", model="sharp")
    >>> paths = sr.upscale(["a.tif", "b.tif"], "results/", progress=False)
    """
    named = {
        "axes": axes,
        "channels": channels,
        "device": device,
        "precision": precision,
        "tile": tile,
        "agreement": agreement,
        "psf_sigma": psf_sigma,
    }
    reading, chosen = split_keywords("upscale", named | choices, UpscaleSettings)
    if out is not None:
        remedy = (
            "give a path such as 'out.ome.zarr', a folder, or a sink; the model is "
            "named by model="
        )
        check_kind("out", out, (str, os.PathLike, Sink), remedy=remedy)
    check_cancel(cancel)
    check_client(client)
    request = UpscaleRequest(
        choose_model(model, factor=factor, sharpness=sharpness),
        make_settings(UpscaleSettings, settings, chosen),
        reading=reading,
        overwrite=overwrite,
        client=client,
    )
    cancel = cancel if cancel is not None else Cancel()
    if is_list(image) or is_image_folder(image):
        return _upscale_all(image, out, request, progress=progress, cancel=cancel)
    if is_whole_plate(image, reading):
        return upscale_plate(image, out, request, progress=progress, cancel=cancel)
    if isinstance(out, (str, os.PathLike)) and is_output_folder(out):
        many = partial(_upscale_all, progress=progress, cancel=cancel)
        try:
            return many([image], out, request)[0]
        except BatchError as error:
            raise error.outcomes[0].error or error from None
    source = open_source(image, **reading)
    sink = request.choose_sink(out)
    events = request.start(source, sink, cancel=cancel)
    finished = run_to_end(events, choose_display(progress))
    if sink.path is None and out is None:
        return restore_kind(finished.output, image, source, reading, request.factor)
    return finished.output


def _upscale_all(
    images: Any,
    out: Any,
    request: UpscaleRequest,
    *,
    progress: bool | None,
    cancel: Cancel,
) -> list[Any]:
    """Upscale images one by one; return their results in the same order."""
    given = (
        find_images([os.fsdecode(images)]) if is_image_folder(images) else list(images)
    )
    if out is not None:
        remedy = "give a folder, for results of many images"
        check_kind("out", out, (str, os.PathLike), remedy=remedy)
    places: Sequence[Path | None] = [None] * len(given)
    if out is not None:
        places = request.name_outputs(given, out)
        # the check of a sink wants a folder that is there
        expand_home(out).mkdir(parents=True, exist_ok=True)

    def work(number: int, image: Any) -> Outcome:
        name, place = names[number], places[number]
        refuse_plate(image, request.reading)
        source = open_source(image, **request.reading)
        if place is not None and request.is_done(source, place):
            return Outcome(name, "there", place)
        events = request.start(source, request.choose_sink(place), cancel=cancel)
        display: Display = choose_display(progress)
        found = run_to_end(events, display).output
        if place is None:
            found = restore_kind(found, image, source, request.reading, request.factor)
        return Outcome(name, "written", found)

    named = [describe_image(image, n) for n, image in enumerate(given, start=1)]
    names = [path or name for path, name in named]
    outcomes = list(run_batch(list(zip(names, given, strict=True)), work))
    if any(one.error for one in outcomes):
        raise BatchError(outcomes)
    return [one.output for one in outcomes]
