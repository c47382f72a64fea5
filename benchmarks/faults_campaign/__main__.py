"""Kill, starve and deceive the program, and count how it ends for the user.

Run it from the root of the repository::

    python -m benchmarks.faults_campaign --out OUT

``--quick`` takes less than two minutes; ``--only ROW`` repeats one row, and the table
is put together from all rows that lie in OUT.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

# one thread each: a forked child must find none that it did not start
os.environ.setdefault("OMP_NUM_THREADS", "1")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_QUICK = 0.06  # of the tries


@app.command()
def run_campaign(
    folder: Annotated[Path, typer.Option("--out", help="For counts and table.")] = Path(
        "faults-campaign"
    ),
    quick: Annotated[bool, typer.Option(help="A few tries of each row.")] = False,
    only: Annotated[str | None, typer.Option(help="Rows, by comma.")] = None,
    jobs: Annotated[str | None, typer.Option(help="Jobs, by comma.")] = None,
    share: Annotated[float, typer.Option(help="Of the tries.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    readers: Annotated[str | None, typer.Option(help="To fuzz, by comma.")] = None,
    fuzz_minutes: Annotated[float, typer.Option(help="For each reader.")] = 1.0,
    work: Annotated[
        Path | None, typer.Option(help="Where jobs run; emptied first.")
    ] = None,
) -> None:
    """Run the campaign, and write its table."""
    from benchmarks.faults_campaign.children import load_modules
    from benchmarks.faults_campaign.fuzz import READERS
    from benchmarks.faults_campaign.jobs import Place
    from benchmarks.faults_campaign.rows import list_rows
    from benchmarks.faults_campaign.tally import read_tallies, write_tables

    seconds = 0.3 if quick else 60 * fuzz_minutes
    fuzzed = readers.split(",") if readers else []
    if unknown := [name for name in fuzzed if name not in READERS]:
        raise typer.BadParameter(f"{unknown[0]}: choose among {', '.join(READERS)}")
    rows = list_rows(fuzz_seconds=seconds, readers=fuzzed)
    names = only.split(",") if only else list(rows)
    if unknown := [name for name in names if name not in rows]:
        raise typer.BadParameter(f"{unknown[0]}: choose among {', '.join(rows)}")
    load_modules()
    failed = 0
    with tempfile.TemporaryDirectory() as made:
        place = Place(work or Path(made) / "place")
        place.prepare()
        for name in names:
            for tally in rows[name].run(
                place,
                share=_QUICK if quick else share,
                seed=seed,
                quick=quick,
                only=jobs.split(",") if jobs else (),
            ):
                tally.row = name
                tally.write(folder)
                failed += tally.failed
                typer.echo(str(tally))
                for story in tally.examples[:3]:
                    typer.echo(f"    {story[:2000]}")
    typer.echo(write_tables(folder, read_tallies(folder, list(rows))))
    raise typer.Exit(int(failed > 0))


if __name__ == "__main__":
    app()
