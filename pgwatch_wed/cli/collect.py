"""db-analyze collect: write snapshot files without evaluating them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import click
from click.core import ParameterSource

from pgwatch_wed import redaction
from pgwatch_wed.cli import options
from pgwatch_wed.cli.gathering import gathering
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.repeating import Repeated, check, repeating
from pgwatch_wed.cli.snapshot_files import SnapshotFiles
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.gather import run as gather
from pgwatch_wed.gather.rounds import Repetition
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.target import connect


@click.command()
@click.argument("target", required=False)
@click.option(
    "--output",
    "-o",
    type=click.Path(readable=False),
    required=True,
    help="The snapshot file to write, for example shop.json.zst, or a directory for files with the time in their names.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print only errors.")
@repeating
@options.redacting
@gathering
def collect(
    target: str | None,
    output: str,
    quiet: bool,
    every: timedelta | None,
    length: timedelta | None,
    samples: timedelta | None,
    redact: bool,
    allowed_names: tuple[str, ...],
    no_progress: bool,
    **given: Any,
) -> int:
    """Write a snapshot of TARGET to a file, or one after another.

    `db-analyze report` evaluates it, on any machine.
    """
    check(every, length, samples)
    files = SnapshotFiles.of(output, is_repeated=every is not None)
    progress = ProgressBar(enabled=not (no_progress or quiet))
    wanted = Wanted.from_options(given)
    conninfo = connect.resolve(target)

    def keep(snapshots: tuple[Snapshot, ...]) -> None:
        if redact:
            snapshots = redaction.redacted(snapshots, allowed_names)
        progress.clear()
        for path, snapshot in zip(files.paths(snapshots), snapshots, strict=True):
            snapshot_file.save(snapshot, path)
            if not quiet:
                click.echo(f"written: {path}", err=True)

    if every is None and samples is None:
        keep(gather.gather(conninfo, wanted, progress))
        return 0
    context = click.get_current_context()
    if every and context.get_parameter_source("advise") is ParameterSource.DEFAULT:
        # the lab is built anew each time, and its advice is that of the whole time
        wanted = replace(wanted, advise=False)
    repetition = Repetition(_seconds(every), _seconds(length))
    return Repeated(conninfo, wanted, repetition, samples, keep, progress).run()


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
