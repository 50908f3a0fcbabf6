"""The review of a fleet: written, printed, and turned into an exit status; for `fleet report` and for the end of `fleet run`."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from pgwatch_wed import clock
from pgwatch_wed.cli import paging, report_files
from pgwatch_wed.cli.colours import colour_wanted
from pgwatch_wed.cli.options import CommaList, FailOnType, FilePath, flat, redacting
from pgwatch_wed.findings import Standing
from pgwatch_wed.fleet.review import review_formats, review_text
from pgwatch_wed.fleet.review.cluster_pages import FOLDER
from pgwatch_wed.fleet.review.review_formats import WholeReview
from pgwatch_wed.fleet.review.reviews import ClusterFinding
from pgwatch_wed.history.gate import FailOn
from pgwatch_wed.history.store import Store

F = TypeVar("F", bound=Callable[..., Any])

FLEET_REPORT = "fleet-report"
_DEFAULT = ("html", "json", "text")
_OPTIONS = (
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=CommaList(("text", *review_formats.FORMATS)),
        metavar="FORMAT[,FORMAT…]",
        help=f"One or more of text, {', '.join(review_formats.FORMATS)}. [default: {','.join(_DEFAULT)}]",
    ),
    click.option(
        "--output",
        "-o",
        "folder",
        type=FilePath(file_okay=False, path_type=Path),
        default=Path("db-analysis-results"),
        show_default=True,
        help="The directory for report files; HTML reports of the clusters are in its directory clusters/.",
    ),
    click.option(
        "--fail-on",
        "fail_on",
        multiple=True,
        type=FailOnType(),
        metavar="[new:|worse:]SEVERITY[,…]",
        help="Exit with status 1 if any cluster has a finding of this severity or worse, or was not read; with new: or worse:, only "
        "one that is new, or worse, since the visit before. [default: never]",
    ),
    click.option("--quiet", "-q", is_flag=True, help="Print only errors."),
    click.option("--verbose", "-v", is_flag=True, help="Print everything in full."),
)


@dataclass(frozen=True, slots=True)
class ReviewOutput:
    """Where a review goes, in which formats, and when the exit status is 1."""

    formats: tuple[str, ...]
    folder: Path
    fail_on: tuple[FailOn, ...]
    quiet: bool
    verbose: bool
    redact: bool = False
    allowed_names: tuple[str, ...] = ()


def reviewing(command: F) -> F:
    """Add the options that control what becomes of a review."""
    command = redacting(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def review_output(given: dict[str, Any]) -> ReviewOutput:
    """Take these options out of what the command line gave."""
    return ReviewOutput(
        flat(given.pop("formats")) or _DEFAULT,
        given.pop("folder"),
        tuple(each for some in given.pop("fail_on") for each in some),
        given.pop("quiet"),
        given.pop("verbose"),
        given.pop("redact"),
        given.pop("allowed_names"),
    )


def check_writable(output: ReviewOutput) -> None:
    """Try before the work whether files can be written where they are to go."""
    if any(name in review_formats.FORMATS for name in output.formats):
        report_files.check_writable(output.folder)


def deliver(opened: Store, output: ReviewOutput, fleet_run_id: int | None = None) -> int:
    """Review a fleet run, the last one by default: write, print, and return the exit status, 0 or 1."""
    files = [name for name in output.formats if name in review_formats.FORMATS]
    check_writable(output)
    with opened.reading() as connection:
        whole = review_formats.whole_review(connection, clock.now(), fleet_run_id)
    if output.redact:
        whole = review_formats.redacted(whole, output.allowed_names)
    documents = {name: review_formats.document(name, whole) for name in files}
    if "html" in files:
        for name, page in review_formats.pages(opened, whole):
            report_files.write_page(output.folder / FOLDER, name, page)
    by_suffix = {review_formats.FORMATS[name].suffix: data for name, data in documents.items()}
    written = report_files.written(
        by_suffix, output.folder, FLEET_REPORT, whole.review.run.began_at
    )
    if not output.quiet:
        _print(whole, documents, output)
        for path in written:
            click.echo(f"written: {path}", err=True)
    return _status(whole, output.fail_on)


def _print(whole: WholeReview, documents: dict[str, bytes], output: ReviewOutput) -> None:
    if "text" in output.formats:
        columns = shutil.get_terminal_size((80, 24)).columns
        colour = sys.stdout.isatty() and colour_wanted()
        said = review_text.text(
            whole.review, whole.extra, width=columns, colour=colour, verbose=output.verbose
        )
        paging.show(said, colour=colour)
    elif len(documents) == 1:
        name = next(iter(documents))
        if review_formats.FORMATS[name].is_piped:
            sys.stdout.buffer.write(documents[name])
            sys.stdout.flush()


def _status(whole: WholeReview, fail_on: tuple[FailOn, ...]) -> int:
    return int(any(_applies(each, f) for each in fail_on for f in whole.review.findings))


def _applies(each: FailOn, finding: ClusterFinding) -> bool:
    if finding.severity.rank > each.severity.rank:
        return False
    if each.standing is None:
        return True
    if finding.standing is Standing.WORSE and each.standing is Standing.NEW:
        before = finding.severity_before
        return before is not None and before.rank > each.severity.rank
    return finding.standing is each.standing
