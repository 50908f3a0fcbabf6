"""db-analyze diff: two runs side by side."""

import shutil
from pathlib import Path

import click

from pgwatch_wed import config
from pgwatch_wed.cli import baseline, report_files
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.cli.remembering import is_file, open_for
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.history import runs
from pgwatch_wed.history.run_difference import RunDifference, run_difference
from pgwatch_wed.render import diff_html, diff_json, diff_text

_FORMATS = ("text", "json", "html")


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option(
    "--output",
    "-o",
    type=FilePath(dir_okay=False, path_type=Path),
    help="The file to write. [default: standard output]",
)
@click.option("--history", "url", metavar="URL", help="Where runs are found.")
@click.option(
    "--config",
    "config_file",
    type=FilePath(dir_okay=False, readable=False, path_type=Path),
    help="The configuration file.",
)
def diff(
    first: str,
    second: str,
    form: str,
    output: Path | None,
    url: str | None,
    config_file: Path | None,
) -> int:
    """Show what differs between A and B: findings, settings, schema, workload, sizes.

    Each is a snapshot file, or the number, date or baseline of a run in the history. Both are evaluated with the rules
    and the configuration of today.
    """
    if output is not None:
        report_files.check_file(output)
    settings = config.load(config_file)
    olds, news = (_read(reference, url or settings.history) for reference in (first, second))
    found = _difference((first, second), olds, news, settings)
    if form == "text":
        document = diff_text.text(found, width=shutil.get_terminal_size((80, 24)).columns) + "\n"
    else:
        document = (diff_json if form == "json" else diff_html).render(found)
    if output is None:
        click.echo(document, nl=False)
        return 0
    report_files.write_file(output, document)
    click.echo(f"written: {output}", err=True)
    return 0


def _read(reference: str, url: str | None) -> tuple[Snapshot, ...]:
    if is_file(reference):
        return (snapshot_file.load(Path(reference)),)
    with open_for(reference, url).reading() as connection:
        return runs.read(connection, runs.find(connection, reference))


def _difference(
    references: tuple[str, str],
    olds: tuple[Snapshot, ...],
    news: tuple[Snapshot, ...],
    settings: config.Config,
) -> RunDifference:
    first, second = (Path(r).name if is_file(r) else f"run {r}" for r in references)
    before, _ = baseline.judged(olds, settings, None, "", None)
    known = baseline.Baseline(first, lambda _: olds)
    report, _ = baseline.judged(news, settings, known, "", None)
    return run_difference((first, second), olds, news, (before, report))
