"""Examples at the end of each ``--help``; a test reads them as a shell would."""

EXAMPLES = {
    "upscale": (
        "structsr upscale cells.tif cells-x2.ome.zarr",
        "structsr upscale cells.tif cells-x4.ome.tif --factor 4 --model sharp",
        "structsr upscale scans/*.tif --out results",
        "structsr upscale plate.ome.zarr big.ome.zarr --dry-run",
    ),
    "inspect": (
        "structsr inspect cells-x2.ome.zarr --out maps",
        "structsr inspect cells-x2.ome.zarr --out maps --reference truth.tif",
        "structsr inspect results --out maps --source scans",
        "structsr inspect --list",
    ),
    "info": (
        "structsr info cells.tif",
        "structsr info cells-x2.ome.zarr --json",
        "structsr info cells.tif --measure",
    ),
    "models": ("structsr models", "structsr models --json"),
    "export": (
        "structsr export sharp sharp-x2.zip --to bioimageio",
        "structsr export faithful faithful-x4.onnx --to onnx --factor 4",
    ),
    "demo": ("structsr demo", "structsr demo results --device cpu"),
    "train": (
        "structsr train faithful-x2 --data images --out runs/mine --minutes 20",
        "structsr train faithful-x2 --data images --out runs/mine --resume",
    ),
    "finetune": (
        "structsr finetune mine.json",
        "structsr finetune mine.json --minutes 10 --accept",
        "structsr finetune mine.json --resume",
    ),
    "calibrate": (
        "structsr calibrate --source a.tif --reference a-true.tif --out mine.json",
    ),
    "clean": ("structsr clean results", "structsr clean results --yes"),
    "benchmark": (
        "structsr benchmark --out comparison",
        "structsr benchmark --out comparison --methods faithful,sharp --limit 2",
    ),
}


def write_epilog(command: str) -> str:
    """Return the end of the help of a command."""
    # an empty line between two keeps each on a line of its own
    return "\n\n".join(("Examples:", *EXAMPLES[command]))
