"""What a file says is text on the terminal: no markup, no control characters."""

import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from rich.table import Table
from typer.testing import CliRunner

from benchmarks.faults_campaign.readers import FAMILIES
from napari_structsr.cli import app
from napari_structsr.engine.events import Finished, Noted, Progressed, Warned
from napari_structsr.io.weights import read_card
from napari_structsr.scripting.plain_console import (
    PlainConsole,
    PlainHandler,
    make_printable,
)
from napari_structsr.zoo.shipped import WEIGHTS

EVIL = (
    "[red]a[/red] :smile: [link=file:///x]b \x1b]0;title\x07\x1b[2J\x9b31m\r\u202egnp"
)
SHOWN = "[red]a[/red] :smile: [link=file:///x]b \\x1b]0;title\\x07\\x1b[2J\\x9b31m\\r"
# what stays of a text: lines and letters
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def test_letters_of_all_scripts_stay_as_they_are():
    assert make_printable("Zürich µm 细胞 🔬 a\tb\nc") == "Zürich µm 细胞 🔬 a\tb\nc"


def test_control_characters_become_their_escapes():
    assert make_printable(EVIL).startswith(SHOWN)
    assert make_printable("\udcff\u202e") == "\\udcff\\u202e"
    assert not CONTROL.search(make_printable("".join(map(chr, range(0xD900)))))


def test_a_console_shows_messages_tables_and_titles_as_they_are():
    target = io.StringIO()
    console = PlainConsole(file=target, width=300, force_terminal=True)
    console.print(EVIL, soft_wrap=True)
    table = Table("name", title=EVIL)
    table.add_row(EVIL)
    console.print(table)
    text = target.getvalue()
    assert text.count(SHOWN) == 3
    # bold and italic of the table are the only commands
    assert not CONTROL.search(re.sub(r"\x1b\[\d+(;\d+)*m", "", text))


def test_the_log_is_shown_line_by_line():
    target = io.StringIO()
    handler = PlainHandler(PlainConsole(file=target, width=300))
    record = logging.LogRecord("a", logging.WARNING, "", 0, "%s", (EVIL,), None)
    handler.handle(record)
    assert target.getvalue().startswith(f"warning: {SHOWN}")
    assert not CONTROL.search(target.getvalue())


def test_progress_notes_and_warnings_of_a_run_are_plain(monkeypatch):
    from napari_structsr.cli import terminal

    target = io.StringIO()
    console = PlainConsole(file=target, width=300, force_terminal=True)
    monkeypatch.setattr(terminal, "err", console)
    events = [Progressed(1, 2, EVIL), Noted(EVIL), Warned(EVIL), Finished(1, None)]
    terminal.follow(lambda cancel: iter(events))
    text = target.getvalue()
    assert text.count(SHOWN) >= 3
    assert "\x07" not in text
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text


@pytest.fixture
def image(tmp_path):
    folder = tmp_path / "whole"
    family = next(one for one in FAMILIES if one.name == "ome-zarr 0.5")
    opened = family.prepare(folder)
    tree = json.loads((opened / "zarr.json").read_text())
    for channel in tree["attributes"]["ome"]["omero"]["channels"]:
        channel["label"] = EVIL
    record = tree["attributes"]["structsr"]["record"]
    record["source"]["origin"] = EVIL
    record["model"]["name"] = EVIL
    (opened / "zarr.json").write_text(json.dumps(tree))
    # the folder has a name of a stranger, too
    return shutil.copytree(opened, tmp_path / "[b]\x1b[31m.ome.zarr")


def test_info_shows_evil_names_and_stays_on_its_lines(image):
    result = CliRunner().invoke(app, ["info", str(image)])
    assert result.exit_code == 0, result.output
    assert result.output.count(SHOWN) >= 2
    assert "[b]\\x1b[31m" in result.output
    assert not CONTROL.search(result.output)
    machine = CliRunner().invoke(app, ["info", "--json", str(image)]).stdout
    assert not CONTROL.search(machine)
    # JSON has its own escapes: programs get the name as it is
    assert json.loads(machine)["model"]["name"] == EVIL


@pytest.mark.parametrize("words", [["info"], ["info", "a", "b"]])
def test_errors_about_evil_paths_are_plain(tmp_path, words):
    path = str(tmp_path / EVIL.replace("/", ""))
    result = CliRunner().invoke(app, [*words, path, *words[1:]])
    assert result.exit_code in (1, 2)
    assert not CONTROL.search(re.sub(r"\x1b\[\d*(;\d+)*m", "", result.output))
    assert "\\x1b" in result.output.replace("\n", "")


def test_a_card_of_a_stranger_is_listed_as_text(tmp_path, monkeypatch):
    card = read_card(WEIGHTS / "faithful-x2")
    card |= {"name": "mine", "description": EVIL, "licence": EVIL}
    (tmp_path / "mine-x2.json").write_text(json.dumps(card))
    (tmp_path / "bad\x1b[31m-x2.json").write_text("{")
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path))
    words = [sys.executable, "-m", "napari_structsr.cli", "models"]
    environment = os.environ | {"COLUMNS": "400"}
    found = subprocess.run(
        words, capture_output=True, text=True, check=True, env=environment
    )
    assert SHOWN in found.stdout
    assert "bad\\x1b[31m-x2.json" in found.stderr
    assert not CONTROL.search(found.stdout + found.stderr)


def test_what_libraries_log_is_plain(tmp_path):
    path = tmp_path / "a\x1b[31m.tif"
    tifffile.imwrite(path, np.zeros((32, 32), "u1"))
    path.write_bytes(path.read_bytes()[:200])
    words = [sys.executable, "-m", "napari_structsr.cli", "info", str(path)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert not CONTROL.search(found.stdout + found.stderr)
