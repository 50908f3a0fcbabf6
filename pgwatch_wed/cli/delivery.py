"""Write reports, print the ranked recommendations, turn findings into an exit status."""

import shutil
import sys
from pathlib import Path

import click

from pgwatch_wed.cli import baseline, paging, report_files
from pgwatch_wed.cli.colours import colour_wanted
from pgwatch_wed.cli.options import Output
from pgwatch_wed.config import Config
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.history.gate import FailOn
from pgwatch_wed.redaction import redacted
from pgwatch_wed.render import rendering as render


def judged(
    snapshots: tuple[Snapshot, ...], settings: Config, output: Output, target: str
) -> tuple[Report, tuple[Snapshot, ...]]:
    """Judge, with placeholders for names if requested; return what to :func:`deliver`."""
    allowed = output.allowed_names if output.redact else None
    return baseline.judged(snapshots, settings, output.baseline, target, allowed)


def as_stored(snapshots: tuple[Snapshot, ...], output: Output) -> tuple[Snapshot, ...]:
    """Return what may be kept: with placeholders for names if requested."""
    return redacted(snapshots, output.allowed_names) if output.redact else snapshots


def deliver(report: Report, snapshots: tuple[Snapshot, ...], output: Output, again: str) -> int:
    """Write every format, print, and return the exit status.

    ``again`` is the target as typed, for the next command to type. If the directory is not
    writable, the text is printed all the same, so that the run is not lost.
    """
    files = [f for f in output.formats if render.FORMATS[f].is_file]
    documents = {f: render.document(f, report, snapshots) for f in files}
    failure: Error | None = None
    written: list[Path] = []
    by_suffix = {render.FORMATS[f].suffix: data for f, data in documents.items()}
    try:
        written = report_files.written(
            by_suffix, output.folder, report_files.ANALYSIS_REPORT, report.generated_at
        )
    except Error as error:
        failure = error
    if not output.quiet:
        _print(report, snapshots, documents, output, "TARGET" if output.redact else again)
        for path in written:
            click.echo(f"written: {path}", err=True)
    if failure:
        raise failure
    return _status(report, output.fail_on)


def _print(
    report: Report,
    snapshots: tuple[Snapshot, ...],
    documents: dict[str, bytes],
    output: Output,
    again: str,
) -> None:
    if "text" in output.formats:
        columns = shutil.get_terminal_size((80, 24)).columns
        colour = sys.stdout.isatty() and colour_wanted()
        text = render.text(
            report, snapshots, width=columns, colour=colour, verbose=output.verbose, target=again
        )
        paging.show(text, colour=colour)
    elif len(documents) == 1 and render.FORMATS[name := next(iter(documents))].is_piped:
        sys.stdout.buffer.write(documents[name])
        sys.stdout.flush()


def _status(report: Report, fail_on: tuple[FailOn, ...]) -> int:
    return int(any(each.applies(report, f) for each in fail_on for f in report.findings))
