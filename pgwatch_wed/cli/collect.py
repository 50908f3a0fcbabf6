"""db-analyze collect: write a snapshot file without evaluating it."""

from pathlib import Path

import click

from pgwatch_wed import redaction
from pgwatch_wed.cli import options
from pgwatch_wed.cli.gathering import gathering
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.gather import run as gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.target import connect


@click.command()
@click.argument("target", required=False)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),
    required=True,
    help="The snapshot file to write, for example shop.json.zst.",
)
@options.redacting
@gathering
def collect(
    target: str | None,
    output: Path,
    redact: bool,
    allowed_names: tuple[str, ...],
    no_progress: bool,
    **given: object,
) -> None:
    """Write a snapshot of TARGET to a file.

    `db-analyze report` evaluates it, on any machine.
    """
    if output.parent and not output.parent.is_dir():
        raise UsageError(f"directory {output.parent} does not exist")
    progress = ProgressBar(enabled=not no_progress)
    wanted = Wanted.from_options(given)
    snapshots = gather.gather(connect.resolve(target), wanted, progress)
    if redact:
        snapshots = redaction.redacted(snapshots, allowed_names)
    progress.clear()
    for path, snapshot in zip(_paths(output, snapshots), snapshots, strict=True):
        snapshot_file.save(snapshot, path)
        click.echo(f"written: {path}", err=True)


def _paths(output: Path, snapshots: gather.Snapshots) -> list[Path]:
    """Return one file name per database; the first keeps the given name."""
    stem, dot, suffix = output.name.partition(".")
    rest = [output.with_name(f"{stem}-{s.server.database_oid}{dot}{suffix}") for s in snapshots[1:]]
    return [output, *rest]
