"""Write reports, print the ranked recommendations, turn findings into an exit status."""

import shutil
import sys
from datetime import datetime
from itertools import count
from pathlib import Path

import click

from pgwatch_wed import render
from pgwatch_wed.cli import baseline
from pgwatch_wed.cli.options import Output
from pgwatch_wed.config import Config
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.file import write_private
from pgwatch_wed.findings import Report
from pgwatch_wed.history.gate import FailOn
from pgwatch_wed.redaction import redacted


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
    try:
        written = _write(documents, output.folder, report.generated_at)
    except OSError as error:
        failure = Error(
            f"could not write to {output.folder}: {error.strerror or error}",
            "choose another directory with --output",
        )
    if not output.quiet:
        _print(report, documents, output, "TARGET" if output.redact else again)
        for path in written:
            click.echo(f"written: {path}", err=True)
    if failure:
        raise failure
    return _status(report, output.fail_on)


def _write(documents: dict[str, bytes], folder: Path, when: datetime) -> list[Path]:
    if not documents:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    base = f"analysis-report-{when:%Y%m%d-%H%M%S}"
    paths = _reserved(folder, base, [render.FORMATS[f].suffix for f in documents])
    written: list[Path] = []
    try:
        for path, data in zip(paths, documents.values(), strict=True):
            write_private(path, data, mode=0o640)
            written.append(path)
    finally:
        _remove(paths[len(written) :])
    return written


def _reserved(folder: Path, base: str, suffixes: list[str]) -> list[Path]:
    """Create empty files under names that no other run uses, not even one of the same second."""
    for number in count(1):
        stem = base if number == 1 else f"{base}-{number}"
        mine: list[Path] = []
        try:
            for path in (folder / f"{stem}{suffix}" for suffix in suffixes):
                path.touch(mode=0o600, exist_ok=False)
                mine.append(path)
        except FileExistsError:
            _remove(mine)
        except BaseException:
            _remove(mine)
            raise
        else:
            return mine
    raise AssertionError("unreachable")


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _print(
    report: Report,
    documents: dict[str, bytes],
    output: Output,
    again: str,
) -> None:
    if "text" in output.formats:
        columns = shutil.get_terminal_size((80, 24)).columns
        colour = sys.stdout.isatty() and _colour_wanted()
        text = render.text(
            report, width=columns, colour=colour, verbose=output.verbose, target=again
        )
        long = sys.stdout.isatty() and text.count("\n") > shutil.get_terminal_size().lines
        click.echo_via_pager(text, color=colour) if long else click.echo(text, color=colour)
    elif len(documents) == 1 and render.FORMATS[name := next(iter(documents))].is_piped:
        sys.stdout.buffer.write(documents[name])
        sys.stdout.flush()


def _colour_wanted() -> bool:
    import os

    return not os.environ.get("NO_COLOR")


def _status(report: Report, fail_on: tuple[FailOn, ...]) -> int:
    return int(any(each.applies(report, f) for each in fail_on for f in report.findings))
