"""db-analyze collect: write a snapshot file without evaluating it."""

import click

from pgwatch_wed import redaction
from pgwatch_wed.cli import options
from pgwatch_wed.cli.gathering import gathering
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.snapshot_files import SnapshotFiles
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.gather import run as gather
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
@options.redacting
@gathering
def collect(
    target: str | None,
    output: str,
    quiet: bool,
    redact: bool,
    allowed_names: tuple[str, ...],
    no_progress: bool,
    **given: object,
) -> None:
    """Write a snapshot of TARGET to a file.

    `db-analyze report` evaluates it, on any machine.
    """
    files = SnapshotFiles.of(output)
    progress = ProgressBar(enabled=not (no_progress or quiet))
    wanted = Wanted.from_options(given)
    snapshots = gather.gather(connect.resolve(target), wanted, progress)
    if redact:
        snapshots = redaction.redacted(snapshots, allowed_names)
    progress.clear()
    for path, snapshot in zip(files.paths(snapshots), snapshots, strict=True):
        snapshot_file.save(snapshot, path)
        if not quiet:
            click.echo(f"written: {path}", err=True)
