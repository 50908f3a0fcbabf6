"""db-analyze report: write reports from snapshot files, offline, on any machine."""

from pathlib import Path
from typing import Any

import click

from pgwatch_wed.cli import delivery, options, snapshot_sets
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.cli.run import reporting_options
from pgwatch_wed.facts.delta import deltas


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=FilePath(readable=False, path_type=Path),
    metavar="FILE…",
)
@options.reporting
@options.comparing
@options.with_baseline
@click.option(
    "--history", "history_url", metavar="URL", help="Where --since and --baseline find a run."
)
def report(files: tuple[Path, ...], **given: Any) -> int:
    """Write reports from snapshots, one per database of a server.

    No server is needed. Of two snapshots of the same database, report the later one with --since or --baseline, or use diff.
    """
    settings, wanted = reporting_options(given)
    snapshots = snapshot_sets.load(files)
    snapshots = deltas(wanted.since(snapshots), snapshots)
    found, snapshots = delivery.judged(snapshots, settings, wanted, files[0].name)
    return delivery.deliver(found, snapshots, wanted, f"report {files[0]}")
