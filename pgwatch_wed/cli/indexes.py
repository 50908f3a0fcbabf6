"""db-analyze indexes: the what-if index advisor."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_wed.cli import report_files
from pgwatch_wed.cli.options import FilePath, SizeType
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.errors import UsageError
from pgwatch_wed.target import connect

if TYPE_CHECKING:
    from pgwatch_wed.whatif.choose.advise import Advice

_FORMATS = ("text", "json", "sql", "alembic")
_ENGINES = ("auto", "hypopg", "lab")


@click.command()
@click.argument("target", required=False)
@click.option(
    "--workload",
    "folder",
    type=FilePath(readable=False, path_type=Path),
    metavar="DIR",
    help="A directory of .sql files, one query each, with an optional weights.json. "
    "[default: pg_stat_statements]",
)
@click.option(
    "--budget",
    type=SizeType(),
    metavar="SIZE",
    help="Maximum total size of the new indexes, such as 500MB (powers of 1024). [default: half of the tables' size, at least 256MB]",
)
@click.option(
    "--max-width",
    type=click.IntRange(1, 8),
    default=3,
    show_default=True,
    help="Maximum number of key columns of an index, with two more for an order after equality; INCLUDE columns do not count.",
)
@click.option(
    "--engine",
    type=click.Choice(_ENGINES),
    default="auto",
    show_default=True,
    help="Where to try hypothetical indexes: in a lab without data on this machine, or with HypoPG on the target.",
)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option(
    "--output",
    "-o",
    "file",
    type=FilePath(path_type=Path),
    help="The file to write. [default: standard output]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    help="Time limit for the search; the best set found by then is printed.",
)
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, 16),
    help="Number of statements planned at once in the lab. [default: one fewer than there are processors]",
)
@click.option(
    "--guard/--no-guard",
    default=True,
    show_default=True,
    help="Avoid plans whose estimated cost is low but which risk being slow.",
)
@click.option(
    "--verify",
    "copy",
    metavar="TARGET",
    help="A copy of TARGET, never TARGET itself: the indexes are built and the queries run there; "
    "indexes that do not help are rejected. All of them are dropped at the end.",
)
@click.option(
    "--verify-seconds",
    type=click.FloatRange(min=1),
    default=1800,
    show_default=True,
    help="Time limit for choosing values and running queries on the copy.",
)
@click.option(
    "--verify-timeout",
    type=click.FloatRange(min=0.1),
    default=60,
    show_default=True,
    help="Time limit for each query on the copy, in seconds.",
)
@click.option("--no-progress", is_flag=True, help="Do not show progress.")
def indexes(
    target: str | None,
    folder: Path | None,
    budget: int | None,
    max_width: int,
    engine: str,
    form: str,
    file: Path | None,
    seconds: float,
    jobs: int | None,
    guard: bool,
    copy: str | None,
    verify_seconds: float,
    verify_timeout: float,
    no_progress: bool,
) -> int:
    """Recommend indexes for TARGET's workload, proven by the planner.

    Nothing is changed on the server.
    """
    from pgwatch_wed.whatif import engines
    from pgwatch_wed.whatif.choose.advise import AdviceOptions
    from pgwatch_wed.whatif.proof.truth import VerifyOptions

    if file is not None:
        report_files.check_file(file)
    if budget is not None and budget < 1:
        raise UsageError("the budget is zero", "specify one such as --budget 500MB")
    wanted = AdviceOptions(budget, max_width, seconds, guard, jobs=jobs)
    measuring = VerifyOptions(timeout_s=verify_timeout, seconds=verify_seconds)
    trial = engines.Copy(connect.resolve(copy), measuring) if copy else None
    progress = ProgressBar(enabled=not no_progress)
    try:
        advice = engines.advise_target(
            connect.resolve(target), folder, wanted, engine, progress, trial
        )
    finally:
        progress.clear()
    text = _writers()[form](advice) + ("\n" if form == "json" else "")
    if file is None:
        click.echo(text, nl=False)
        return 0
    report_files.write_file(file, text)
    click.echo(f"written: {file}", err=True)
    return 0


def _writers() -> Mapping[str, "Callable[[Advice], str]"]:
    from pgwatch_wed.render.index_revision import index_revision
    from pgwatch_wed.whatif import output

    return {**output.FORMATS, "alembic": index_revision}
