"""How far a fine-tuned model is off, from the regions it was not taught on.

The network that predicts errors stays that of the parent; what is found anew are its
factors, by conformal risk control on the regions that judge. These have also chosen
the best weights, so that the intervals are a little narrow.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_structsr.calibration.fit import calibrate
from napari_structsr.calibration.samples import CalibrationPair, sample_pairs
from napari_structsr.core.intensity import Intensity
from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.split import Split
from napari_structsr.models.calibration import TrustCalibration
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair

__all__ = ["tuned_calibration"]


def tuned_calibration(
    model: SRModel,
    pairs: Sequence[ImagePair],
    split: Split,
    *,
    parent: TrustCalibration | None,
) -> tuple[TrustCalibration | None, str]:
    """Calibrate a fine-tuned model on the regions that judged it.

    Parameters
    ----------
    model
        The fine-tuned model, on the CPU.
    pairs, split
        What it was taught and judged on.
    parent
        Calibration of the model that it was made of.

    Returns
    -------
    TrustCalibration or None
        None where the parent has none, or the regions hold too few patches.
    str
        A sentence that says what was done, or why nothing was.
    """
    if parent is None:
        return None, "the parent predicts no errors, and so does this model not"
    regions = []
    for block in split.validation:
        pair = pairs[block.pair]
        gain, floor = pair.noise
        regions.append(
            CalibrationPair(
                block.measured(pair),
                block.truth(pair),
                source="pairs of the user",
                image=str(block.pair),
                intensity=Intensity(0.0, 1.0, gain, floor),
            )
        )
    try:
        samples = sample_pairs(regions, model)
        found = calibrate(
            samples, model, start=parent, refit=False, conditions="pairs of the user"
        )
    except TrainingError as error:
        return None, f"the expected error of results is not offered: {error}"
    return (
        found,
        f"the expected error of results was calibrated on {found.patches} patches of "
        "the regions held out",
    )
