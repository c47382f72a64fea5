"""The page for people within a package: what the model does, and on which terms."""

from __future__ import annotations

from napari_structsr.models.model import SRModel


def write_readme(model: SRModel, *, licence: str | None) -> str:
    """Return the text of a package's README.md."""
    card, factor = model.card, model.factor
    parts = [
        f"# {card.name} x{factor}",
        card.description,
        "## What it does",
        f"It maps planes of shape (N, 1, height, width) to (N, 1, {factor} height, "
        f"{factor} width), for every height and width from {2 * model.radius + 1} "
        "pixels on. Channels and slices are planes of their own.",
        _describe_values(model),
        _describe_optics(model),
        "An output pixel depends on measured pixels up to "
        f"{model.radius} away. Tiles with that halo equal the whole image"
        + (f" but for {model.seam:.2g} of the range." if model.seam else "."),
        "## Training",
        card.training or "Nothing is stated.",
        _list_data(model),
        "## Validation",
        "Measure an object at high and at low resolution, or bin and blur an image of "
        "high resolution, upscale the low one, and compare: the mean squared error and "
        "SSIM against bicubic interpolation first of all. napari-structsr shows where "
        "structure of a result departs from a reference, or from the measurement "
        "itself: `structsr inspect RESULT --reference TRUTH`.",
        "## When not to use it",
        "No detail that the measurement does not hold can be trusted. Do not use it on "
        "images of another kind, blur or noise than those above without looking at "
        "pairs of your own, and do not measure intensities in its results that the "
        "measured image does not show.",
        "## Licence",
        f"{licence or 'Not stated: ask those who made it.'}",
        "## In napari-structsr",
        "`structsr upscale IN OUT --model PACKAGE.zip` gives the same pixels as the "
        "model that was exported. "
        + (f"Hash of its weights: `{card.sha256}`." if card.sha256 else ""),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _describe_values(model: SRModel) -> str:
    if model.card.intensity_equivariant:
        return (
            "Values may have any unit: gain and offset of the camera pass through "
            "unchanged, so that nothing has to be normalised, and the result has the "
            "unit of the measurement."
        )
    return (
        "Values are expected near 0..1, percentile 0.1 of the channel at 0 and "
        "percentile 99.9 at 1, as the preprocessing of the description does; the "
        "result has that unit."
    )


def _describe_optics(model: SRModel) -> str:
    # what a model was told stands in its description
    return (
        "It undoes a point-spread function whose standard deviation is "
        f"{model.card.psf_sigma:g} measured pixels, and binning by {model.factor}."
    )


def _list_data(model: SRModel) -> str:
    rows = [
        f"| {one.name} | {one.licence} | {one.attribution} |" for one in model.card.data
    ]
    if not rows:
        return ""
    return "\n".join(["| images | licence | attribution |", "|---|---|---|", *rows])
