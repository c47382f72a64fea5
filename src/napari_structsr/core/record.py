"""The record of a run: enough to repeat it, and to recognise an interrupted one.

A record holds no time and no duration, so that the same run leaves the same bytes.
"""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import asdict, astuple, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from napari_structsr.core.intensity import Intensity
from napari_structsr.errors import SourceError, describe_error

# kinds of what the record says of an image, and of the options of opening it
_SOURCE: dict[str, Any] = {
    "origin": str,
    "axes": str,
    "shape": (list, tuple),
    "options": dict,
}
_OPTIONS: dict[str, Any] = {
    "axes": str,
    "level": int,
    "series": int,
    "channels": (list, tuple),
    "channel": (int, str),
    "planes": str,
    "region": str,
}
_TASKS = ("upscale", "inspect")


@dataclass(frozen=True)
class Record:
    """One run of `iter_upscale` or `iter_inspect`.

    Parameters
    ----------
    source
        Where the pixels came from: ``origin``, ``name``, ``axes``, ``shape``,
        ``dtype``, and ``options`` with which it was opened.
    model
        Name, factor, hash of the weights, and point-spread width of the model; of one
        that can be blended with another also ``sharpness``, and ``parents``, the
        hashes of both.
    settings
        Every setting of the run, resolved: no "auto" is left.
    intensity
        Statistics by channel.
    least_shares
        Least share of the residual that is corrected, by channel.
    device
        Kind and name of the device.
    versions
        Versions of the packages that computed.
    fingerprint
        What each image was when the run began, by its part in it: "source", and in an
        inspection "result" and "reference". It goes by the sizes and times of files,
        or by pixels where there are no files. Empty where nothing is written, and in
        records of earlier versions.
    task
        What was done: "upscale", or "inspect" for a map of structure error, whose
        `source` is the result that was inspected.
    """

    source: dict[str, Any]
    model: dict[str, Any]
    settings: dict[str, Any]
    intensity: tuple[Intensity, ...]
    least_shares: tuple[float, ...]
    device: str
    versions: dict[str, str] = field(default_factory=dict)
    fingerprint: dict[str, Any] = field(default_factory=dict)
    task: Literal["upscale", "inspect"] = "upscale"

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        # through JSON: tuples become lists, so that a record equals itself read back
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Rebuild a record.

        Raises
        ------
        SourceError
            If entries are missing or of the wrong kind.
        """
        try:
            intensity = tuple(Intensity(**entry) for entry in data["intensity"])
            shares = tuple(data["least_shares"])
            record = cls(**{**data, "intensity": intensity, "least_shares": shares})
            record._check_kinds()
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(
                f"the record of the run is incomplete ({describe_error(error)}); "
                "it was edited or written by another version"
            ) from error
        return record

    def _check_kinds(self) -> None:
        """Raise where an entry is not of the kind that others rely on."""
        parts = (self.source, self.model, self.settings, self.versions)
        for part in (*parts, self.fingerprint):
            if not isinstance(part, dict):
                raise TypeError(f"{str(part)[:80]!r} holds no entries")
        for name, kind in _SOURCE.items():
            if not isinstance(self.source[name], kind):
                raise TypeError(f"the {name} of its source is none")
        for name, value in self.source["options"].items():
            if not isinstance(value, _OPTIONS[name]):
                raise TypeError(f"the {name} of its source cannot be {value!r}"[:80])
        # an inspection need not know the model, and then runs none
        if self.task == "upscale":
            if not isinstance(self.model["name"], str):
                raise TypeError("its model has no name")
            if not isinstance(self.model.get("sha256"), (str, type(None))):
                raise TypeError("the hash of its model is none")
        if type(self.model["factor"]) is not int or self.task not in _TASKS:
            raise TypeError("its factor or its task is none")
        ranges = [value for entry in self.intensity for value in astuple(entry)]
        for value in (*ranges, *self.least_shares):
            if not _is_number(value):
                raise TypeError(f"{str(value)[:80]!r} is no intensity")
        for one in self.model.get("optics", ()):
            for name in ("psf_sigma", "noise"):
                if not _is_number(one[name]):
                    raise TypeError(f"{str(one[name])[:80]!r} is no optics")
        widths = self.model.get("psf_sigma")
        # an inspection lists one for each channel, where they differ
        if self.task == "upscale" or not isinstance(widths, list):
            widths = [widths]
        for value in (*widths, self.model.get("sharpness")):
            if value is not None and not _is_number(value):
                raise TypeError(f"{str(value)[:80]!r} is none of its model's optics")
        for channel in self.source["options"].get("channels", ()):
            if not isinstance(channel, (int, str)):
                raise TypeError(f"{str(channel)[:80]!r} is no channel")
        self.command()

    def find_differences(self, other: Record) -> list[str]:
        """Name what keeps two runs from giving the same bytes.

        Where one of them has no fingerprint, nothing is known of a changed image.
        """
        mine, theirs = self.to_json(), other.to_json()
        found = []
        then, now = theirs.pop("fingerprint"), mine.pop("fingerprint")
        if then and now:
            roles = sorted(then.keys() | now.keys())
            changed = [role for role in roles if then.get(role) != now.get(role)]
            found += [f"the {role}, which has changed since" for role in changed]
        for part, value in mine.items():
            if isinstance(value, dict):
                # by setting, so that the message can name what differs
                keys = sorted(value.keys() | theirs[part].keys())
                found += [k for k in keys if value.get(k) != theirs[part].get(k)]
            elif value != theirs[part]:
                found.append(part)
        return found

    def command(self, output: str = "OUT") -> str:
        """Return the command line that repeats the run."""
        origin = self.source["origin"]
        options: dict[str, Any] = {}
        if self.task == "inspect":
            words = ["structsr", "inspect", origin, "--out", output]
        else:
            words = ["structsr", "upscale", origin, output]
            options = {**self.source["options"], "model": self.model["name"]}
            options["sharpness"] = self.model.get("sharpness")
            options["factor"] = self.model["factor"]
        for key, value in (options | self.settings).items():
            if isinstance(value, list):
                value = ",".join(map(str, value))
            # a flag has no value: it is named, or left out
            if value is not None and value is not False:
                words.append(f"--{key.replace('_', '-')}")
                words += [] if value is True else [str(value)]
        if self.settings.get("confocal") is False:  # against what the file says
            words.append("--wide-field")
        return shlex.join(words)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def find_versions(*others: str) -> dict[str, str]:
    """Return the versions of the packages that decide the numbers of a result.

    Parameters
    ----------
    others
        Packages that took part besides this one, torch and numpy.
    """
    found = {}
    for name in ("napari-structsr", "torch", "numpy", *others):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            # a source tree that was never installed
            found[name] = "uninstalled"
    return found
