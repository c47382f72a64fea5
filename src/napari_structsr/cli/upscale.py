"""`structsr upscale`: the same runs as in napari."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from napari_structsr.cli.marks import (
    Bead,
    Diameter,
    Edge,
    Filament,
    Plane,
    read_marks,
)
from napari_structsr.cli.opening import (
    PartOption,
    Scheduler,
    Series,
    Workers,
    check_one_image,
    is_plate,
    open_image,
    read_part,
    use_cluster,
)
from napari_structsr.cli.terminal import (
    Progress,
    ProgressKind,
    exit_on_error,
    follow,
    make_settings,
    out,
    read_channel,
    read_factor,
    split_channels,
)
from napari_structsr.core.names import expand_home
from napari_structsr.errors import SettingsError, SinkError

if TYPE_CHECKING:
    from distributed import Client

    from napari_structsr.scripting.upscale_request import UpscaleRequest
    from napari_structsr.upscaling.settings import UpscaleSettings


def upscale(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... [OUT]",
            help="An image (TIFF, pattern, or zarr) and name.ome.zarr or name.ome.tif; "
            "or images and folders, with --out.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder, made if need be, for many results."
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option("--format", help="Of results in --out: zarr or tif."),
    ] = "zarr",
    factor: Annotated[
        int,
        typer.Option(
            parser=read_factor,
            metavar="N",
            help="2 or 4; 1 with --model conditional.",
        ),
    ] = 2,
    model: Annotated[
        str, typer.Option(help="Name, or .safetensors, .pth, .onnx or .zip file.")
    ] = "faithful",
    sharpness: Annotated[
        float, typer.Option(help="Of sharp: 0 is faithful, 1 is sharp.")
    ] = 1.0,
    undo_optics: Annotated[
        bool,
        typer.Option(
            "--undo-optics",
            help="Undo the blur of the optics, by aperture and wavelength; without it "
            "pixels become finer and the optics stay.",
        ),
    ] = False,
    aperture: Annotated[
        float | None,
        typer.Option("--na", "--aperture", help="Numerical aperture; else the file's."),
    ] = None,
    wavelength: Annotated[
        float | None,
        typer.Option(help="Of the detected light, in micrometres; else the file's."),
    ] = None,
    confocal: Annotated[
        bool | None,
        typer.Option(
            "--confocal/--wide-field", help="A pinhole or none; else by file."
        ),
    ] = None,
    psf_sigma: Annotated[
        float | None,
        typer.Option(help="Blur to undo: standard deviation in measured pixels."),
    ] = None,
    bead: Bead = None,
    edge: Edge = None,
    filament: Filament = None,
    plane: Plane = None,
    diameter: Diameter = None,
    width_from_image: Annotated[
        bool,
        typer.Option(
            "--width-from-image",
            help="Estimate the blur from the whole image; undoes the least it may be.",
        ),
    ] = False,
    noise: Annotated[
        float | None,
        typer.Option(help="Standard deviation at half the range, relative to it."),
    ] = None,
    agreement: Annotated[
        str, typer.Option(help="With the measurement: off, noise or exact.")
    ] = "off",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, float32, bfloat16 or float16.")
    ] = "auto",
    tile: Annotated[
        int | None, typer.Option(help="Input pixels written at once, along a side.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(help="Names of the dimensions, such as tczyx.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Channels to keep: indices or names, by comma.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="One channel alone, without the axis c.")
    ] = None,
    planes: Annotated[
        str | None, typer.Option(help="Planes to keep, such as z=3:10 or t=0,z=5.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Rows and columns to keep: 10:200,30:400.")
    ] = None,
    level: Annotated[int, typer.Option(help="Pyramid level of an OME-Zarr.")] = 0,
    series: Series = None,
    color: Annotated[
        str, typer.Option(help="RGB images: channels or luminance.")
    ] = "channels",
    dtype: Annotated[str, typer.Option(help="same as the input, or float32.")] = "same",
    ome_version: Annotated[str, typer.Option(help="OME-Zarr 0.5 or 0.4.")] = "0.5",
    overwrite: Annotated[bool, typer.Option(help="Replace what is at OUT.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done.")] = False,
    scheduler: Scheduler = None,
    workers: Workers = None,
    part: PartOption = None,
    progress: Progress = ProgressKind.BAR,
) -> None:
    """Upscale stacks of any size; the same command continues an interrupted run."""
    with exit_on_error(progress), ExitStack() as held:
        # in the body: torch takes two seconds, and --help must not wait for it
        from napari_structsr.upscaling.settings import UpscaleSettings

        settings = make_settings(
            UpscaleSettings,
            "structsr upscale",
            agreement=agreement,
            device=device,
            precision=precision,
            tile=tile,
            color=color,
            dtype=dtype,
            undo_optics=undo_optics,
            aperture=aperture,
            wavelength=wavelength,
            confocal=confocal,
            psf_sigma=psf_sigma,
            **read_marks(bead, edge, filament, plane),
            diameter=diameter,
            width_from_image=width_from_image,
            noise=noise,
        )
        share = read_part(part)
        images, place, many = _split_words(images, output)
        reading = {
            "axes": axes,
            "level": level,
            "channels": split_channels(channels),
            "channel": None if channel is None else read_channel(channel),
            "planes": planes,
            "region": region,
        }

        def load() -> UpscaleRequest:
            return _make_request(
                model,
                factor=factor,
                sharpness=sharpness,
                settings=settings,
                reading=reading,
                overwrite=overwrite,
                ome_version=ome_version,
                kind=kind,
                client=held.enter_context(use_cluster(scheduler, workers)),
            )

        if many:
            check_one_image(share)
            _upscale_many(
                images,
                place,
                load(),
                series=series,
                dry_run=dry_run,
                progress=progress,
            )
            return
        if series is None and is_plate(images[0]):
            from napari_structsr.cli.batch_report import upscale_fields

            check_one_image(share)
            upscale_fields(images[0], place, load, dry_run=dry_run, progress=progress)
            return
        from napari_structsr.scripting.output import choose_sink

        # what is wrong with a name is told before torch is imported
        sink = choose_sink(
            place, overwrite=overwrite, ome_version=ome_version, part=share
        )
        request = load()
        source = open_image(images[0], series, **reading)
        if dry_run:
            out.print(str(request.plan(source, sink)))
            return
        start = partial(request.start, source, sink)
        finished = follow(start, progress=progress)
        # a part that is not the last has said so
        if finished.output is not None:
            out.print(f"wrote {finished.output}", soft_wrap=True)


def _split_words(words: list[str], output: str | None) -> tuple[list[str], str, bool]:
    """Return the images, where their results go, and whether that is a folder."""
    from napari_structsr.scripting.batch import is_image_folder
    from napari_structsr.scripting.output import is_output_folder

    named = output is not None
    if output is None:
        if len(words) != 2:
            raise SettingsError(
                f"{len(words)} {'word' if len(words) == 1 else 'words'} came, where "
                "IN and OUT were expected; name the result, such as out.ome.zarr, or "
                "give --out DIR for many images"
            )
        *words, output = words
    many = len(words) > 1 or is_image_folder(words[0])
    folder = is_output_folder(output, new=named or many)
    if many and not folder:
        raise SinkError(
            f"{output} is the name of one result, and there are many images; give a "
            "folder, such as --out results"
        )
    return words, output, folder


def _make_request(
    model: str,
    *,
    factor: int,
    sharpness: float,
    settings: UpscaleSettings,
    reading: dict[str, Any],
    overwrite: bool,
    ome_version: str,
    kind: str,
    client: Client | None,
) -> UpscaleRequest:
    if kind not in ("zarr", "tif"):
        raise SettingsError(
            f"--format {kind} is not written; choose --format zarr or tif"
        )
    from napari_structsr.zoo.catalogue import find_card, load_model

    # an unknown name is refused before torch is imported, which takes seconds
    find_card(model, factor=factor, sharpness=sharpness)
    from napari_structsr.scripting.upscale_request import UpscaleRequest

    return UpscaleRequest(
        load_model(model, factor=factor, sharpness=sharpness),
        settings,
        reading=reading,
        overwrite=overwrite,
        ome_version=ome_version,
        # checked above; a str is not narrowed to a Literal
        kind=cast(Any, kind),
        client=client,
    )


def _upscale_many(
    words: list[str],
    folder: str,
    request: UpscaleRequest,
    *,
    series: str | None,
    dry_run: bool,
    progress: ProgressKind,
) -> None:
    """Upscale images into a folder, one by one; failures are told at the end."""
    from napari_structsr.cli.batch_report import report_outcomes, run_images
    from napari_structsr.scripting.batch import Outcome, find_images

    images = find_images(words)
    places = request.name_outputs(images, folder)
    if not dry_run:
        # the check of a sink wants a folder that is there
        expand_home(folder).mkdir(parents=True, exist_ok=True)

    def work(number: int, image: str) -> Outcome:
        place = places[number]
        source = open_image(image, series, **request.reading)
        if dry_run:
            out.print(f"{image} -> {place}", soft_wrap=True)
            return Outcome(image, "written")
        if request.is_done(source, place):
            return Outcome(image, "there", place)
        start = partial(request.start, source, request.choose_sink(place))
        return Outcome(image, "written", follow(start, progress=progress).output)

    outcomes = run_images(images, work, progress=progress)
    if dry_run:
        outcomes = [one for one in outcomes if one.error]
        if not outcomes:
            return
    report_outcomes(outcomes, progress=progress)
