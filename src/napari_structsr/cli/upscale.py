"""`structsr upscale`: the same runs as in napari."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_structsr.cli.marks import (
    Bead,
    Diameter,
    Edge,
    Filament,
    Plane,
    read_marks,
)
from napari_structsr.cli.opening import Series, open_image
from napari_structsr.cli.terminal import (
    exit_on_error,
    follow,
    make_settings,
    out,
    read_channel,
    split_channels,
)
from napari_structsr.errors import SettingsError, SinkError

if TYPE_CHECKING:
    from napari_structsr.io.sink import Sink


def upscale(
    image: Annotated[str, typer.Argument(metavar="IN", help="TIFF, pattern, or zarr.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="name.ome.zarr or name.ome.tif")
    ],
    factor: Annotated[
        int, typer.Option(help="2 or 4; 1 with --model conditional.")
    ] = 2,
    model: Annotated[
        str, typer.Option(help="Name, or .safetensors or .pth file.")
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
    level: Annotated[int, typer.Option(help="Pyramid level of an OME-Zarr.")] = 0,
    series: Series = None,
    color: Annotated[
        str, typer.Option(help="RGB images: channels or luminance.")
    ] = "channels",
    dtype: Annotated[str, typer.Option(help="same as the input, or float32.")] = "same",
    ome_version: Annotated[str, typer.Option(help="OME-Zarr 0.5 or 0.4.")] = "0.5",
    overwrite: Annotated[bool, typer.Option(help="Replace what is at OUT.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done.")] = False,
) -> None:
    """Upscale a stack of any size; the same command continues an interrupted run."""
    with exit_on_error():
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
        sink = _choose_sink(output, overwrite=overwrite, ome_version=ome_version)

        from napari_structsr.zoo.catalogue import find_card, load_model

        # an unknown name is refused before torch is imported, which takes seconds
        find_card(model, factor=factor, sharpness=sharpness)
        from napari_structsr.upscaling import upscale as engine

        source = open_image(
            image,
            series,
            axes=axes,
            level=level,
            channels=split_channels(channels),
            channel=None if channel is None else read_channel(channel),
        )
        network = load_model(model, factor=factor, sharpness=sharpness)
        if dry_run:
            out.print(str(engine.plan(source, network, sink, settings=settings)))
            return
        start = partial(engine.iter_upscale, source, network, sink, settings=settings)
        finished = follow(start)
        out.print(f"wrote {finished.output}", soft_wrap=True)


def _choose_sink(path: Path, *, overwrite: bool, ome_version: str) -> Sink:
    """Choose the format by the ending of the name."""
    from napari_structsr.io.ome_zarr.writer import OmeZarrSink
    from napari_structsr.io.tiff.writer import TiffSink

    if path.suffix.lower() == ".zarr":
        if ome_version not in ("0.4", "0.5"):
            raise SettingsError(
                f"OME-Zarr {ome_version} is unknown; choose --ome-version 0.5 or 0.4"
            )
        # checked above; a str is not narrowed to a Literal
        version: Any = ome_version
        return OmeZarrSink(path, overwrite=overwrite, version=version)
    if path.suffix.lower() in (".tif", ".tiff"):
        return TiffSink(path, overwrite=overwrite)
    raise SinkError(
        f"the ending of {path.name} names no format that is written; "
        "use name.ome.zarr or name.ome.tif"
    )
