"""From what the user wants to what the dock shows: pure, without Qt or napari.

`Choice` is the intention as it stands in the form, `LayerFacts` what is known of each
selected layer. `resolve` is the one place where they meet: what is offered, what is
shown, and why a button cannot work.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Literal

from napari_structsr.core.axes import ImageSpec
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice, TrainedOptics
from napari_structsr.gui.upscale.optics.optics_state import (
    Measured,
    OpticsState,
    resolve_optics,
    resolve_optics_of_files,
)
from napari_structsr.gui.viewer.cluster_words import (
    describe_memory,
    find_reading_obstacle,
)
from napari_structsr.io.foreign_weights import FOREIGN_ENDINGS

Agreement = Literal["off", "noise", "exact"]
Color = Literal["channels", "luminance"]

AGREEMENTS: dict[Agreement, tuple[str, str]] = {
    "off": ("Off", "The result of the model as it is."),
    "noise": (
        "Within noise",
        "Corrects what the noise of the measurement cannot explain.",
    ),
    "exact": (
        "Exact",
        "The result, blurred and binned, equals the measurement, noise included.",
    ),
}
COLORS: dict[Color, tuple[str, str]] = {
    "channels": ("Channel by channel", "Upscales red, green and blue, each by itself."),
    "luminance": (
        "Luminance",
        "Upscales the brightness and interpolates the colours; three times as fast.",
    ),
}
_ENDINGS = (".safetensors", ".json", ".onnx", ".zip", *FOREIGN_ENDINGS)
_LINES = 6  # for the selected layers
_NAMED = 3  # images of a folder


def shorten_model(name: str) -> str:
    """Return what a model is called: of a file the name without folder and ending."""
    path = PurePath(name.replace("\\", "/"))
    return path.stem if "/" in str(path) or path.suffix in _ENDINGS else name


@dataclass(frozen=True)
class Choice:
    """What the user wants.

    Parameters
    ----------
    model, factor
        Name of the model, and output pixels along the side of an input pixel.
    agreement
        Agreement with the measurement.
    color
        How RGB layers are upscaled.
    folder
        Folder in which OME-Zarr stores are made; None keeps results in memory.
    device
        "auto", "cpu", "cuda" or "mps".
    tile
        Input pixels along the side of what is written at once; None chooses.
    sharpness
        Share of the way to the model from the one it can be blended with.
    optics
        What a conditional model is told of the optics.
    planes, region, channels
        Which part of each layer, as `open_source` takes it; empty texts take all.
    area
        The layer of shapes whose rectangle gives the region of each layer.
    images
        A folder of images, which are upscaled in the place of layers.
    scheduler
        Address of a dask scheduler whose workers do it; empty for this computer.
    """

    model: str = "faithful"
    factor: int = 2
    agreement: Agreement = "off"
    color: Color = "channels"
    folder: Path | None = None
    device: str = "auto"
    tile: int | None = None
    sharpness: float = 1.0
    optics: OpticsChoice = field(default_factory=OpticsChoice)
    planes: str = ""
    region: str = ""
    channels: str = ""
    area: str | None = None
    images: Path | None = None
    scheduler: str = ""

    @property
    def reading(self) -> dict[str, Any]:
        """Keywords with which `open_source` takes the part."""
        words = [word.strip() for word in self.channels.split(",") if word.strip()]
        channels = [int(word) if word.isdecimal() else word for word in words]
        said = {"channels": channels, "planes": self.planes, "region": self.region}
        return {name: value for name, value in said.items() if value}

    @property
    def label(self) -> str:
        """What is appended to the name of a layer."""
        share = "" if self.sharpness == 1 else f" {self.sharpness:.0%}"
        undone = ", blur undone" if self.optics.undo else ""
        part = ", part" if self.reading else ""
        return f"×{self.factor} {shorten_model(self.model)}{share}{undone}{part}"


@dataclass(frozen=True)
class LayerFacts:
    """What must be known of a selected layer.

    Parameters
    ----------
    name
        As shown in the layer list.
    rgb
        Whether its pixels have a colour.
    obstacle
        Why it cannot be upscaled, in words; None if it can.
    spec
        The image with its optics; needed only where their blur is undone.
    measured
        The blur of each channel, where it is measured in the image.
    axes
        Names of its axes, one letter each.
    origin
        What of the axes and pixel size is not its own, in words.
    part_obstacle
        Why the part that is wanted cannot be taken of it.
    in_file
        Whether it was read from a file.
    """

    name: str
    rgb: bool = False
    obstacle: str | None = None
    spec: ImageSpec | None = None
    measured: Measured = None
    axes: str = ""
    origin: str = ""
    part_obstacle: str | None = None
    in_file: bool = True


@dataclass(frozen=True)
class DockState:
    """What the dock shows.

    Parameters
    ----------
    choice
        The wish, as far as it can be granted.
    layers
        The selected layers, or what is wrong with them, in words.
    axes
        Names of the axes of the layers; None where there are none, or they differ.
    origin
        Where axes and pixel sizes come from, in words.
    offers_part
        Whether a part of the layers can be chosen.
    factors
        What the model offers.
    shows_color
        Whether the choice of colour handling has a meaning.
    shows_sharpness
        Whether the model can be blended with another.
    optics
        What the model is told of the optics; None for a model that cannot be told.
    run, preview, look, copy
        Why the button cannot work; None if it can.
    """

    choice: Choice
    layers: str
    axes: str | None
    origin: str
    offers_part: bool
    factors: tuple[int, ...]
    shows_color: bool
    shows_sharpness: bool
    optics: OpticsState | None
    run: str | None
    preview: str | None
    look: str | None
    copy: str | None


def resolve(
    choice: Choice,
    layers: Sequence[LayerFacts],
    *,
    models: Mapping[str, tuple[int, ...]],
    blending: Collection[str] = (),
    conditional: Mapping[tuple[str, int], TrainedOptics] | None = None,
    obstacle: str | None = None,
    busy: bool = False,
    view: str | None = None,
    files: Sequence[str] | str | None = None,
    has_dask: bool = True,
) -> DockState:
    """Decide what the dock shows.

    Parameters
    ----------
    choice
        What the form says.
    layers
        The selected layers.
    models
        Factors that each model offers.
    blending
        The models that can be blended with another.
    conditional
        The models that can be told the optics, by name and factor.
    obstacle
        What the estimate found to stand in the way, in words.
    busy
        Whether a run of this dock has not ended.
    view
        Why the visible region cannot be previewed, in words.
    files
        The images of the folder, or why there are none; None where layers are wanted.
    has_dask
        Whether what talks to a cluster is installed.
    """
    # preferences and accepted models outlive the models that they name
    model = choice.model if choice.model in models else next(iter(models))
    factors = models[model]
    factor = choice.factor if choice.factor in factors else factors[0]
    trained = (conditional or {}).get((model, factor))
    known = [layer for layer in layers if layer.spec is not None]
    specs = [layer.spec for layer in known if layer.spec is not None]
    measured = [layer.measured for layer in known]
    optics = None
    if trained and files is None:
        optics = resolve_optics(choice.optics, specs, trained, measured)
    elif trained:
        optics = resolve_optics_of_files(choice.optics, trained)
    blurred = optics.obstacle if optics else None
    usable = [layer for layer in layers if layer.obstacle is None]
    none = None if usable else _describe_layers(layers)
    part = next((one.part_obstacle for one in usable if one.part_obstacle), None)
    running = "A run is under way: wait for it, or cancel it." if busy else None
    several = "Select a single layer." if len(usable) > 1 else None
    folder = choice.folder
    # an empty text field is `Path()`, which is the working directory: not meant
    missing = None
    if folder == Path():
        missing = "Choose the folder for the results."
    elif folder is not None and not folder.is_dir():
        missing = f"The folder {folder} does not exist."
    source = none or part
    described = _describe_layers(layers)
    if files is not None:
        source = files if isinstance(files, str) else None
        described = source or _describe_files(files)
        if folder is None:
            missing = "Results of a folder are files: choose Output: OME-Zarr folder."
    remote = kept = None
    if choice.scheduler:
        memory = [one.name for one in usable if not one.in_file and files is None]
        remote = find_reading_obstacle(memory, has_dask=has_dask)
        kept = describe_memory("OME-Zarr folder") if folder is None else None
    return DockState(
        choice=replace(
            choice,
            model=model,
            factor=factor,
            sharpness=choice.sharpness if model in blending else 1.0,
            optics=optics.choice if optics else OpticsChoice(),
        ),
        layers=described,
        axes=usable[0].axes if len({one.axes for one in usable}) == 1 else None,
        origin=_describe_origins(usable),
        offers_part=files is None and bool(usable),
        factors=factors,
        shows_color=files is not None or any(layer.rgb for layer in usable),
        shows_sharpness=model in blending,
        optics=optics,
        run=source or running or blurred or remote or missing or kept or obstacle,
        # a preview needs no folder, and is too small for what the estimate found
        preview=none or running or several or blurred or view,
        look=none or running or blurred or view,
        copy=source or blurred or remote or missing,
    )


def _describe_files(files: Sequence[str]) -> str:
    names = [PurePath(file).name for file in files]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    count = "1 image" if len(names) == 1 else f"{len(names)} images"
    return f"{count}: {', '.join(names[:_NAMED])}{more}"


def _describe_origins(layers: Sequence[LayerFacts]) -> str:
    """Say where axes and pixel sizes come from; by layer where that differs."""
    if len({layer.origin for layer in layers}) == 1:
        return layers[0].origin
    told = (f"{layer.name}: {layer.origin}" for layer in layers if layer.origin)
    return "\n".join(itertools.islice(told, _LINES))


def _describe_layers(layers: Sequence[LayerFacts]) -> str:
    """Name the layers, and say of each that cannot be upscaled why not."""
    if not layers:
        return "Select one or more image layers."
    # what is refused first: that list is cut at its end
    lines = [f"{layer.name}: {layer.obstacle}" for layer in layers if layer.obstacle]
    lines += [layer.name for layer in layers if layer.obstacle is None]
    if len(lines) > _LINES:
        lines[_LINES - 1 :] = [f"and {len(lines) - _LINES + 1} more"]
    return "\n".join(lines)
