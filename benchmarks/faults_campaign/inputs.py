"""What the jobs of the campaign work on: a few pixels, and a network of one block."""

from __future__ import annotations

from pathlib import Path

_RECIPE = """
name = "tiny"
megapixels = 0.003072
patch = 16
batch = 2
network.options = { width = 8, blocks = 1 }
"""


def make_inputs(folder: Path) -> None:
    """Make the inputs of all jobs; called in a child, as it computes."""
    import numpy as np
    import tifffile
    import torch
    from skimage.data import cell, coins
    from skimage.io import imsave

    from benchmarks.faults_campaign.jobs import run_command, write_json
    from napari_structsr.finetuning.runs import accept_run
    from napari_structsr.imaging.forward import ForwardModel
    from napari_structsr.io.weights import write_bundle
    from napari_structsr.models.build import build_network
    from napari_structsr.models.card import ModelCard
    from napari_structsr.zoo.user_models import export_model

    picture = coins()[:192, :256]
    stack = np.stack([picture[y : y + 80, y : y + 72] for y in (0, 30, 60, 85, 110)])
    pixels = stack.astype(np.uint16) * 200
    tifffile.imwrite(
        folder / "stack.tif", pixels, imagej=True, metadata={"axes": "ZYX"}
    )

    torch.manual_seed(0)
    options = {"width": 8, "blocks": 1}
    card = ModelCard(
        name="bare",
        description="",
        architecture="residual-generator",
        options=options,
        factor=2,
        psf_sigma=0.4,
    )
    network = build_network("residual-generator", factor=2, options=options)
    entries = card.model_dump(exclude={"sha256"})
    write_bundle(folder / "bare-x2", entries, network.state_dict())

    (folder / "images" / "tissue").mkdir(parents=True)
    (folder / "tiny.toml").write_text(_RECIPE)
    tissue = (cell()[:480, :440] * 1.2).clip(0, 255).astype(np.uint8)
    for number in range(9):
        top, left = 150 * (number // 3), 140 * (number % 3)
        part = tissue[top : top + 150, left : left + 140]
        path = folder / "images" / "tissue" / f"{number}.png"
        imsave(path, part, check_contrast=False)

    truth = coins()[:192, :256].astype(np.float32) / 255
    tifffile.imwrite(folder / "fine.tif", truth)
    write_json(
        folder / "mine.json",
        {
            "name": "mine",
            "parent": "bare-x2.safetensors",
            "pairs": [{"high": "fine.tif"}],
            "microscope": {"psf_sigma": 0.9},
            "steps": 6,
            "batch": 2,
            "patch": 16,
            "rate": 0.01,
            "replay": 0.25,
            "largest_loss": None,
            "device": "cpu",
            "precision": "float32",
            "out": "../run",
        },
    )

    model = ForwardModel(2, 0.4)
    whole = np.tile(cell()[:328, :328], (2, 2)).astype(np.float32) / 200
    # two images, since no more than 100 patches of one are taken
    for number, image in enumerate((whole, whole[::-1].copy())):
        measured = model.measure(
            torch.from_numpy(image)[None, None],
            photons=5000,
            read_noise=0.003,
            generator=torch.Generator().manual_seed(number),
        )[0, 0]
        for name, pixels, size in (
            ("measured", measured.numpy(), 0.2),
            ("true", image, 0.1),
        ):
            tifffile.imwrite(
                folder / f"{name}-{number}.ome.tif",
                pixels,
                metadata={"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size},
            )

    _run(run_command, "upscale", "in/stack.tif", "in/result.ome.zarr", *_CUBIC)
    _run(run_command, "finetune", "in/mine.json", "--out", str(folder / "run"))
    accept_run(folder / "run")
    (folder.parent / "models").rename(folder / "models")
    import os

    os.environ["STRUCTSR_MODELS"] = str(folder / "models")
    export_model("mine", folder / "mine.zip", factor=2)
    _leave_litter(folder / "left", folder / "result.ome.zarr")


def _leave_litter(folder: Path, store: Path) -> None:
    """Make what killed runs leave, beside what is nobody's business."""
    import shutil

    shutil.copytree(store, folder / "e.ome.zarr")
    shutil.copytree(store, folder / ".d.ome.tif.ome.zarr")
    shutil.copytree(store, folder / "deep" / ".a.ome.zarr.0123abcd.new")
    shutil.copytree(store, folder / ".f.ome.zarr.0123abcd.old")
    for name in (
        *("e.ome.zarr/structsr-journal.txt", ".c.json.0123abcd.part"),
        *("deep/model-x2.safetensors.part", "film.part", "deep/.x.lock"),
    ):
        (folder / name).write_bytes(bytes(1000))


_CUBIC = ("--model", "bicubic", "--device", "cpu")


def _run(call: object, *words: str) -> None:
    """Run a command, and go on where it ends."""
    assert callable(call)
    try:
        call(words, ())
    except SystemExit as error:
        if error.code:
            raise
