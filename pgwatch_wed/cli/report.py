"""db-analyze report: write reports from snapshot files, offline, on any machine."""

from pathlib import Path
from typing import Any

import click

from pgwatch_wed.cli import delivery, options
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.cli.run import reporting_options
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import file as snapshot_file
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

    No server is needed.
    """
    settings, wanted = reporting_options(given)
    snapshots = tuple(snapshot_file.load(path) for path in files)
    servers = {s.server.system_identifier for s in snapshots}
    if len(servers) > 1:
        raise UsageError(
            "the snapshots are from different servers", "run a separate report for each server"
        )
    snapshots = deltas(wanted.since(snapshots), snapshots)
    found, snapshots = delivery.judged(snapshots, settings, wanted, files[0].name)
    return delivery.deliver(found, snapshots, wanted, f"report {files[0]}")
