"""Which blur a conditional model undoes, and what noise it expects, by channel.

Two wishes exist, and they differ. *Finer pixels, same optics* is the default: the image
is taken to be undersampled, and nothing but the integration over its pixels and a
narrow blur is undone. *Undo the optics* takes the width of the point-spread function
from the user, the file, or a measurement that the user asks for. It is never guessed,
and less than found is undone rather than more: undoing more blur than lies between the
image that is wanted and the one that was measured invents structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from napari_structsr.core.axes import Channel, ImageSpec
from napari_structsr.core.intensity import Intensity
from napari_structsr.core.optics import FoundWidth, Optics
from napari_structsr.errors import SettingsError
from napari_structsr.io.units import compute_pixel_size
from napari_structsr.models.conditional_generator import SIGMA_RANGE, noise_level
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.settings import UpscaleSettings


@dataclass(frozen=True)
class ChannelOptics:
    """What a conditional model is told of one channel.

    Parameters
    ----------
    psf_sigma
        Width of the point-spread function that is undone, in measured pixels.
    noise
        Noise relative to the range, see
        `napari_structsr.models.conditional_generator.noise_level`.
    width_from, noise_from
        Where both come from, for people.
    measured
        The width that was measured in the image, and the range that holds the truth
        nine times in ten; None where it comes from elsewhere.
    """

    psf_sigma: float
    noise: float
    width_from: str
    noise_from: str
    measured: tuple[float, float, float] | None = None

    def to_record(self) -> dict[str, Any]:
        """Return plain values for a record."""
        plain = asdict(self)
        if self.measured is None:
            del plain["measured"]
        else:
            names = ("sigma", "low", "high")
            plain["measured"] = dict(zip(names, self.measured, strict=True))
        return plain


def find_widths(
    spec: ImageSpec,
    model: SRModel,
    settings: UpscaleSettings,
    measured: Sequence[FoundWidth] = (),
) -> tuple[tuple[float, str], ...]:
    """Return the width that is undone of each channel, and where it comes from.

    Parameters
    ----------
    spec
        The measured image.
    model
        What upscales it.
    settings
        What the user says of the optics.
    measured
        What was measured of each channel, where settings ask for that. Before it is
        measured the widest is returned that the model knows.

    Returns
    -------
    tuple
        Standard deviations of the point-spread function in measured pixels, each with
        words for people; nothing for a model that cannot be told.

    Raises
    ------
    SettingsError
        If the optics shall be undone and nothing says how wide they are, or the
        model cannot be told.
    """
    if not model.conditional:
        if settings.names_optics:
            raise SettingsError(
                f"{model.card.name} x{model.factor} cannot be told the optics; take "
                "--model conditional, or leave the optics out"
            )
        return ()
    count = spec.axes["c"].size if "c" in spec.axes else 1
    if settings.measures_width:
        trained = model.card.psf_range or SIGMA_RANGE
        if not measured:
            return ((trained[1], "not measured yet"),) * count
        return tuple((clamp_found(found, trained), found.origin) for found in measured)
    channels = spec.channels or (Channel(),) * count
    return tuple(_find_width(spec, channel, model, settings) for channel in channels)


def find_optics(
    spec: ImageSpec,
    model: SRModel,
    settings: UpscaleSettings,
    intensities: Sequence[Intensity],
    measured: Sequence[FoundWidth] = (),
) -> tuple[ChannelOptics, ...]:
    """Return what a model is told of each channel; nothing for an ordinary model.

    Parameters
    ----------
    spec, model, settings, measured
        As in `find_widths`.
    intensities
        Range and noise of each channel.
    """
    widths = find_widths(spec, model, settings, measured)
    if not widths:
        return ()
    found = []
    for number, ((sigma, width_from), intensity) in enumerate(
        zip(widths, intensities, strict=True)
    ):
        known = None
        if measured:
            one = measured[number]
            known = (one.sigma, one.low, one.high)
        if settings.noise is not None:
            noise, noise_from = settings.noise, "given"
        else:
            noise = noise_level(*intensity.relative_noise)
            noise_from = "measured in the image"
        found.append(ChannelOptics(sigma, noise, width_from, noise_from, known))
    return tuple(found)


def _find_width(
    spec: ImageSpec, channel: Channel, model: SRModel, settings: UpscaleSettings
) -> tuple[float, str]:
    if settings.psf_sigma is not None:
        return settings.psf_sigma, "given"
    if not settings.undo_optics:
        if model.card.fine_tuning:
            return model.card.psf_sigma, "the blur of the pairs it was fine-tuned on"
        return model.card.psf_sigma, "finer pixels, same optics"
    known = channel.optics
    aperture = settings.aperture or (known.aperture if known else None)
    wavelength = settings.wavelength or (known.wavelength if known else None)
    if aperture is None or wavelength is None:
        label = f"channel {channel.name} of {spec.name}" if channel.name else spec.name
        missing = [
            name
            for name, value in (
                ("the numerical aperture", aperture),
                ("the emission wavelength", wavelength),
            )
            if value is None
        ]
        raise SettingsError(
            f"nothing says {' and '.join(missing)} of {label}, so that the optics "
            "cannot be undone; give --na and --wavelength, the width in measured "
            "pixels with --psf-sigma, or measure it with --bead, --edge, --filament or "
            "--width-from-image"
        )
    confocal = settings.confocal
    if confocal is None:
        confocal = known.confocal if known else False
    optics = Optics(aperture, wavelength, confocal)
    sigma = optics.cautious_sigma(find_pixel_size(spec))
    asked = settings.aperture is not None or settings.wavelength is not None
    origin = "aperture and wavelength, " + ("given" if asked else "from the file")
    # an undersampled image has less blur than was ever trained; the least is right
    return max(sigma, SIGMA_RANGE[0]), origin


def clamp_found(found: FoundWidth, trained: tuple[float, float]) -> float:
    """Return what a model is told of a measured width: the low end of its range.

    Less is undone rather than more. An image with less blur than the model was trained
    for is told the least.

    Raises
    ------
    SettingsError
        If there is more blur than the model was trained for.
    """
    low, high = trained
    if found.low > high:
        raise SettingsError(
            f"the blur {found.origin} is {found.sigma:.2f} pixels wide, and the model "
            f"knows {high:g} at most; bin the image first, or take a coarser level "
            "with --level"
        )
    return max(found.low, low)


def find_pixel_size(spec: ImageSpec) -> float:
    """Return the distance between pixels in micrometres, the mean of y and x.

    Raises
    ------
    SettingsError
        If the image has no pixel size in a unit of length.
    """
    size = compute_pixel_size(spec.axes)
    if size is None:
        raise SettingsError(
            f"{spec.name} has no pixel size in a unit of length, so that the width of "
            "the point-spread function in pixels is unknown; give it with --psf-sigma"
        )
    return size
