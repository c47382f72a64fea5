"""The jobs that are disturbed: small, and the same bytes each time they run alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from benchmarks.faults_campaign.children import Ending, run_child

# what no user takes for a result: swept by the next run, or by `structsr clean`
_LITTER = ("*.partial", "*journal*", ".*")
# they hold how long something took
_UNSTABLE = ("curves.csv", "checkpoint.safetensors", "run.json")
_TIMES = re.compile(rb'"seconds": [\d.e-]+|[\d.]+ minutes on')


@dataclass(frozen=True)
class Remedy:
    """A way out that a message names.

    Parameters
    ----------
    phrase
        What the message says, a regular expression.
    words
        Options that are added to the command.
    without
        Options that are taken away.
    whole
        Whether the message says that the result is there: then it must be right.
    remove
        What is removed by hand, relative to the workplace.
    """

    phrase: str
    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    whole: bool = False
    remove: tuple[str, ...] = ()


_EXISTS = Remedy("exists already", words=("--overwrite",), whole=True)
_OVERWRITE = Remedy("--overwrite", words=("--overwrite",))
_AGAIN = Remedy(r"(start|repeat) .*(again|same command)|start again|try again")


@dataclass(frozen=True)
class Job:
    """One command whose result is known.

    Parameters
    ----------
    name
        As in the table.
    call
        Runs the command in a child, with more options.
    outputs
        What it makes in the workplace: files or folders.
    remedies
        Ways out, the first that a message names is taken.
    given
        What of ``in`` is laid into the workplace before; its litter counts.
    """

    name: str
    call: Callable[[Sequence[str]], object]
    outputs: tuple[str, ...]
    remedies: tuple[Remedy, ...] = (_EXISTS, _OVERWRITE, _AGAIN)
    given: str = ""


@dataclass
class Place:
    """The one folder where all tries happen, since records hold absolute paths.

    Parameters
    ----------
    root
        Holds ``work``, where jobs run, and ``log``.
    """

    root: Path
    references: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Where jobs run; ``in`` below it is made once."""
        return self.root / "work"

    @property
    def log(self) -> Path:
        """Where outputs and notes go, on the same disk."""
        return self.root / "log"

    def sweep(self, job: Job | None = None) -> None:
        """Remove all that tries have left, and lay out what a job is given."""
        for path in self.work.iterdir():
            if path.name != "in":
                remove(path)
        shutil.rmtree(self.log, ignore_errors=True)
        (self.log / "shadow").mkdir(parents=True)
        if job and job.given:
            shutil.copytree(self.work / "in" / job.given, self.work / job.given)

    def run(self, act: Callable[[], object], **options: object) -> Ending:
        """Run something in a child at this place."""
        log = self.log / "said.txt"
        return run_child(act, log=log, folder=self.work, **options)  # type: ignore[arg-type]

    def prepare(self) -> None:
        """Make the inputs of all jobs, and point the user's models here."""
        from benchmarks.faults_campaign.inputs import make_inputs

        shutil.rmtree(self.root, ignore_errors=True)
        (self.work / "in").mkdir(parents=True)
        self.log.mkdir()
        os.environ["STRUCTSR_MODELS"] = str(self.work / "models")
        ending = self.run(partial(make_inputs, self.work / "in"), patience=600)
        if ending.code:
            raise SystemExit(f"the inputs cannot be made:\n{ending.said}")

    def measure(self, job: Job) -> None:
        """Run a job undisturbed, and keep what it makes as its reference."""
        if job.name in self.references:
            return
        found = []
        for _ in range(2):
            self.sweep(job)
            ending = self.run(partial(job.call, ()))
            if ending.code:
                raise SystemExit(f"{job.name} fails undisturbed:\n{ending.said}")
            found.append(self.digest(job))
        if found[0] != found[1]:
            differ = [k for k in found[0] if found[0][k] != found[1].get(k)]
            raise SystemExit(f"{job.name} differs from run to run: {differ}")
        self.references[job.name] = found[0]
        self.seconds[job.name] = ending.seconds

    def digest(self, job: Job) -> dict[str, str]:
        """Return a hash of each file that a job has made."""
        found = {}
        for name in job.outputs:
            path = self.work / name
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                inner = file.relative_to(self.work).as_posix()
                if not file.is_file() or (is_litter(inner) and not job.given):
                    continue
                found[inner] = hashlib.sha256(_read_stable(file)).hexdigest()
        return found

    def is_whole(self, job: Job) -> bool:
        """Whether the result is that of an undisturbed run."""
        return self.digest(job) == self.references[job.name]

    def tell_difference(self, job: Job) -> str:
        """Return which files are not as in an undisturbed run."""
        found, wanted = self.digest(job), self.references[job.name]
        names = sorted(found.keys() | wanted.keys())
        differ = [name for name in names if found.get(name) != wanted.get(name)]
        return f"{len(differ)} of {len(wanted)} files differ: {', '.join(differ[:4])}"


def _read_stable(file: Path) -> bytes:
    """Read what does not depend on how long something took."""
    if any(fnmatch(file.name, kind) for kind in _UNSTABLE):
        return b""
    data = file.read_bytes()
    if fnmatch(file.name, "*-x?.json"):  # a card, whose curves hold seconds
        with suppress(ValueError):
            card = json.loads(data)
            # means of losses since they were last looked at begin anew in a new process
            (card.get("fine_tuning") or {}).pop("curves", None)
            data = json.dumps(card, sort_keys=True).encode()
        data = _TIMES.sub(b"", data)
    return data


def find_remedy(job: Job, said: str) -> Remedy | None:
    """Return the way out that a message names."""
    said = " ".join(said.split())
    return next((one for one in job.remedies if re.search(one.phrase, said)), None)


def is_litter(name: str) -> bool:
    """Whether a part of a path says that it is no result."""
    parts = name.split("/")
    return any(fnmatch(part, kind) for part in parts for kind in _LITTER)


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run_command(base: Sequence[str], more: Sequence[str]) -> None:
    """Run `structsr` in this process, as its script does."""
    from napari_structsr.cli import app

    app([*base, *more], prog_name="structsr")


def _train(more: Sequence[str]) -> None:
    """Run `structsr train`, but save after each step and not each minute."""
    from napari_structsr.cli.terminal import exit_on_error, follow
    from napari_structsr.training.curves import Curves
    from napari_structsr.training.recipe import read_recipe
    from napari_structsr.training.settings import TrainingSettings
    from napari_structsr.training.train import train

    # a picture takes longer than the training, and nobody goes on from it
    Curves.draw = _draw_nothing  # type: ignore[method-assign]
    with exit_on_error():
        settings = TrainingSettings(
            device="cpu", precision="float32", resume="--resume" in more, save_every=0
        )
        recipe = read_recipe("in/tiny.toml")
        follow(
            partial(train, recipe, Path("in/images"), Path("net"), settings=settings)
        )


def _draw_nothing(*_: object, **__: object) -> None: ...


def _inspect(more: Sequence[str]) -> None:
    """Run `structsr inspect`."""
    run_command(
        (
            *("inspect", "in/result.ome.zarr", "--out", "maps"),
            *("--maps", "residual,squirrel", "--device", "cpu"),
        ),
        more,
    )


def _calibrate(more: Sequence[str]) -> None:
    """Run `structsr calibrate`, but fit its network in a few steps."""
    from napari_structsr.calibration import left_out_sources
    from napari_structsr.calibration.error_network import fit_predictor

    left_out_sources._STEPS = 5
    defaults: dict[str, object] = fit_predictor.__kwdefaults__
    defaults["steps"] = 20
    run_command(
        (
            *("calibrate", "--out", "mine-calibration.json"),
            *("--source", "in/measured-0.ome.tif"),
            *("--source", "in/measured-1.ome.tif"),
            *("--reference", "in/true-0.ome.tif"),
            *("--reference", "in/true-1.ome.tif"),
            *("--model", "in/bare-x2.safetensors", "--device", "cpu"),
        ),
        more,
    )


def _accept(more: Sequence[str]) -> None:
    from napari_structsr.cli.terminal import exit_on_error
    from napari_structsr.finetuning.runs import accept_run

    with exit_on_error():
        accept_run(Path("in/run"), replace="--replace" in more)


def _import(more: Sequence[str]) -> None:
    from napari_structsr.cli.terminal import exit_on_error
    from napari_structsr.zoo.user_models import import_model

    with exit_on_error():
        import_model(Path("in/mine.zip"), replace="--replace" in more)


def _export(more: Sequence[str]) -> None:
    from napari_structsr.cli.terminal import exit_on_error
    from napari_structsr.zoo.user_models import export_model

    os.environ["STRUCTSR_MODELS"] = "in/models"
    with exit_on_error():
        export_model("mine", Path("mine.zip"), factor=2)


_UPSCALE = ("upscale", "in/stack.tif")
_BICUBIC = ("--model", "bicubic", "--factor", "4", "--device", "cpu")
_RESUME = (
    Remedy("without --resume|start the fine-tuning anew", without=("--resume",)),
    Remedy("--resume|go on with it", words=("--resume",)),
    _AGAIN,
)
_TAKEN = (
    Remedy("you have a model .* already", words=("--replace",), whole=True),
    _AGAIN,
)


def list_jobs() -> dict[str, Job]:
    """Return the jobs by name."""
    jobs = [
        Job(
            "upscale to OME-Zarr",
            partial(run_command, (*_UPSCALE, "out.ome.zarr", *_BICUBIC)),
            ("out.ome.zarr",),
        ),
        Job(
            "upscale to OME-TIFF",
            partial(run_command, (*_UPSCALE, "out.ome.tif", *_BICUBIC)),
            ("out.ome.tif",),
        ),
        Job("inspect", _inspect, ("maps",)),
        Job("train", _train, ("net",), _RESUME),
        Job(
            "finetune",
            partial(run_command, ("finetune", "in/mine.json")),
            ("run",),
            _RESUME,
        ),
        Job("accept", _accept, ("models",), _TAKEN),
        Job("import", _import, ("models",), _TAKEN),
        Job("export", _export, ("mine.zip",), (_AGAIN,)),
        Job(
            "clean",
            partial(run_command, ("clean", "left", "--yes")),
            ("left",),
            (Remedy("clean again"), _AGAIN),
            given="left",
        ),
        Job("calibrate", _calibrate, ("mine-calibration.json",), (_EXISTS, _AGAIN)),
    ]
    return {job.name: job for job in jobs}


def write_json(path: Path, entries: object) -> None:
    """Write a small JSON file."""
    path.write_text(json.dumps(entries), "utf-8")
