"""Odd and hostile files, made from whole ones, and the readers that must refuse them.

A `Family` makes a whole file, changes it, and reads it back. Changes are drawn from a
random generator, so that a seed names them: the tests take a few, the campaign as many
as its minutes allow. A reader may return or raise an error of the project's family;
anything else, and the error that calls itself a fault of the program, is a finding.
"""

from __future__ import annotations

import copy
import io
import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_structsr.errors import StructsrError, UnexpectedError

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    99,
    2**31,
    10**20,
    10**400,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "a",
    "../../evil",
    "[red]x[/red] \x1b[31m \x07\r",
    "\ud800",
    "x" * 70000,
    [],
    [99],
    [[]],
    ["a", None],
    {},
    {"": {}},
    {"a": 1},
)
"""What stands in the place of an entry: wrong kinds, ranges and letters."""

ODD_BYTES: tuple[bytes, ...] = (
    b"",
    b"\0",
    b"\xff\xfe\xfa",
    b"{",
    b"null",
    b"[]",
    b"3",
    b'"a"',
    b"{}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 20_000 + b"]" * 20_000,
    b"9" * 10_000,
    b"<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><a>&c;</a>",
    b"\xef\xbb\xbf{}",
    b"PK\x03\x04",
)
"""What stands in the place of a whole text file."""

_OPENED = "opened.txt"


Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Family:
    """One kind of file.

    Parameters
    ----------
    name
        Of the kind.
    make
        Writes a whole one into an empty folder, and returns what is opened.
    read
        Opens and uses it, as the program does.
    changes
        Patterns of files in the folder, each with what changes such a file.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    changes: tuple[tuple[str, Change], ...]

    def prepare(self, whole: Path) -> Path:
        """Make the whole file in a folder that is not there; return what is opened."""
        whole.mkdir(parents=True)
        opened = self.make(whole)
        (whole / _OPENED).write_text(str(opened.relative_to(whole)), "utf-8")
        return opened

    def change(self, whole: Path, folder: Path, chance: random.Random) -> Path:
        """Copy what was prepared to `folder`, changed; return what is opened.

        Parameters
        ----------
        whole
            The folder that was prepared.
        folder
            Is removed before.
        chance
            Draws the change.
        """
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        pattern, change = chance.choice(self.changes)
        files = [path for path in folder.glob(pattern) if path.is_file()]
        path = chance.choice(sorted(files))
        path.write_bytes(change(path.read_bytes(), chance))
        return folder / (folder / _OPENED).read_text("utf-8")


def find_fault(read: Callable[[Path], object], path: Path) -> BaseException | None:
    """Return what a reader should not have raised; None if it read or refused."""
    try:
        read(path)
    except UnexpectedError as error:
        return error.__cause__ or error
    except (StructsrError, SystemExit):
        return None
    except Exception as error:
        return error
    return None


def change_json(data: bytes, chance: random.Random) -> bytes:
    """Replace, remove or add entries of a JSON text; now and then all of it."""
    if chance.random() < 0.1:
        return chance.choice(ODD_BYTES)
    tree = json.loads(data)
    for _ in range(chance.randint(1, 3)):
        places = list(_list_places(tree))
        if not places:
            break
        parent, key = chance.choice(places)
        match chance.randrange(6):
            case 0 if isinstance(parent, dict):
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[f"{key}x"] = copy.deepcopy(chance.choice(ODD_VALUES))
            case 2 if isinstance(parent, list):
                parent += copy.deepcopy(parent[:1] * chance.choice([1, 7]))
            case _:
                parent[key] = copy.deepcopy(chance.choice(ODD_VALUES))
    text = json.dumps(tree)
    if chance.random() < 0.05:
        # deeper than Python recurses
        text = text.replace("1", "[" * 5000 + "1" + "]" * 5000, 1)
    return text.encode("utf-8", "surrogatepass")


def change_bytes(data: bytes, chance: random.Random) -> bytes:
    """Cut, overwrite, double or insert bytes, as damage and fuzzers do."""
    found = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        # heads of files decide most: half of all changes lie there
        reach = min(len(found), 512) if chance.random() < 0.5 else len(found)
        start = chance.randrange(reach + 1)
        length = chance.choice([1, 2, 4, 64])
        match chance.randrange(6):
            case 0:
                del found[start:]
            case 1:
                found[start : start + length] = bytes(length)
            case 2:
                found[start : start + length] = b"\xff" * length
            case 3:
                found[start:start] = chance.randbytes(length)
            case 4 if len(found) > start:
                found[start] ^= 1 << chance.randrange(8)
            case _:
                found[start : start + length] = chance.randbytes(length)
    return bytes(found)


def change_tag(data: bytes, chance: random.Random) -> bytes:
    """Change kind, count or value of one tag in the first directory of a TIFF."""
    found = bytearray(data)
    (offset,) = struct.unpack_from("<I", found, 4)
    (count,) = struct.unpack_from("<H", found, offset)
    entry = offset + 2 + 12 * chance.randrange(count)
    match chance.randrange(4):
        case 0:
            struct.pack_into("<H", found, entry + 2, chance.randrange(20))
        case 1:
            number = chance.choice([0, 2, 2**16, 2**31, 2**32 - 1])
            struct.pack_into("<I", found, entry + 4, number)
        case _:
            number = chance.choice([0, 1, 3, 2**16 - 1, 2**31, 2**32 - 1])
            struct.pack_into("<I", found, entry + 8, number)
    return bytes(found)


def change_description(data: bytes, chance: random.Random) -> bytes:
    """Write a TIFF anew with its description changed: OME-XML, or lines of ImageJ."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pixels, text = file.asarray(), file.pages.first.description
    if text.startswith("ImageJ"):
        lines = text.splitlines()
        number = chance.randrange(len(lines))
        word = str(chance.choice(ODD_VALUES))[:500]
        lines[number] = f"{lines[number].partition('=')[0]}={word}"
        text = "\n".join(lines)
    elif chance.random() < 0.1:
        text = "<OME" + chance.choice(ODD_BYTES).decode("utf-8", "replace")
    else:
        text = change_xml(text, chance)
    target = io.BytesIO()
    description = text.encode("utf-8", "replace")
    tifffile.imwrite(target, pixels, description=description, metadata=None)
    return target.getvalue()


def change_xml(text: str, chance: random.Random) -> str:
    """Change an attribute of an XML text, or remove, double or empty an element."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(text)
    element = chance.choice(list(root.iter()))
    match chance.randrange(5):
        case 0 if element is not root:
            parents = [one for one in root.iter() if element in list(one)]
            parents[0].remove(element)
        case 1 if element is not root:
            parents = [one for one in root.iter() if element in list(one)]
            parents[0].append(element)
        case 2:
            element.text = chance.choice(["", "{", "[[", "null", '{"source": 3}'])
        case _ if element.attrib:
            key = chance.choice(list(element.attrib))
            odd = chance.choice(ODD_VALUES)
            # control characters and surrogates are no XML at all
            word = "".join(c for c in str(odd)[:500] if c.isprintable())
            element.set(key, word)
    return ElementTree.tostring(root, encoding="unicode")


def make_odd_zips(whole: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield zips that no export makes: name of the oddity, and path.

    Parameters
    ----------
    whole
        A zip that `zoo.user_models.export_model` wrote.
    folder
        Where they are written.
    """
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    card, weights = sorted(parts)

    def write(name: str, entries: dict[str, bytes], **options: Any) -> Path:
        with zipfile.ZipFile(folder / name, "w", **options) as archive:
            for entry, data in entries.items():
                archive.writestr(entry, data)
        return folder / name

    def patch(name: str, *changes: tuple[int, int, int]) -> Path:
        """Change a field of every local (PK34) and every central (PK12) header."""
        data = bytearray(write(name, parts, compression=8).read_bytes())
        for mark, shift in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
            at = data.find(mark)
            while at >= 0:
                for place, width, value in changes:
                    kind = {2: "<H", 4: "<I"}[width]
                    struct.pack_into(kind, data, at + place + shift, value)
                at = data.find(mark, at + 4)
        (folder / name).write_bytes(data)
        return folder / name

    yield "encrypted", patch("encrypted.zip", (6, 2, 1))
    yield "method", patch("method.zip", (8, 2, 97))
    yield "sum", patch("sum.zip", (14, 4, 7))
    stored = bytearray(write("deflated.zip", parts, compression=8).read_bytes())
    stored[80:400] = b"\xff" * 320
    (folder / "deflated.zip").write_bytes(stored)
    yield "deflated", folder / "deflated.zip"
    up = {f"../../{name}": data for name, data in parts.items()}
    yield "upwards", write("upwards.zip", up)
    away = {f"/tmp/evil/{name}": data for name, data in parts.items()}
    yield "absolute", write("absolute.zip", away)
    yield "twice", write("twice.zip", {f"a/{card}": b"{}", f"b/{card}": b"{}"})
    yield "bomb", write("bomb.zip", parts | {card: bytes(16 << 20)}, compression=8)
    link = zipfile.ZipInfo(weights)
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "link.zip", "w") as archive:
        archive.writestr(link, b"/etc/passwd")
        archive.writestr(card, parts[card])
    yield "link", folder / "link.zip"
    yield "letters", write("letters.zip", {f"\x1b[31m{n}": d for n, d in parts.items()})
    whole_data = whole.read_bytes()
    for number, share in enumerate((0.0, 0.3, 0.9)):
        cut = folder / f"cut{number}.zip"
        cut.write_bytes(whole_data[: int(len(whole_data) * share)])
        yield f"cut{number}", cut


def _list_places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every dictionary or list of a tree with each of its keys."""
    if isinstance(tree, (dict, list)):
        keys = list(tree) if isinstance(tree, dict) else range(len(tree))
        for key in keys:
            yield tree, key
            yield from _list_places(tree[key])
