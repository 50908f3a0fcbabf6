"""db-analyze indexes: the what-if index advisor."""

from pathlib import Path
from typing import Any

import click

from pgwatch_wed import units
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.errors import UsageError
from pgwatch_wed.target import connect

_FORMATS = ("text", "json", "sql", "alembic")
_ENGINES = ("auto", "hypopg", "lab")


class SizeType(click.ParamType[int]):
    """A size such as ``500MB``, in the units of postgresql.conf."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        try:
            return units.read_size(str(value))
        except ValueError:
            self.fail(f"{value!r} is no size; give one such as 500MB or 2GB", param, ctx)


@click.command()
@click.argument("target", required=False)
@click.option(
    "--workload",
    "folder",
    type=click.Path(readable=False, path_type=Path),
    metavar="DIR",
    help="A folder of .sql files, one query each, with an optional weights.json. "
    "[default: pg_stat_statements]",
)
@click.option(
    "--budget",
    type=SizeType(),
    metavar="SIZE",
    help="Room for new indexes, such as 500MB (powers of 1024). [default: a quarter of the tables' size]",
)
@click.option(
    "--max-width",
    type=click.IntRange(1, 8),
    default=3,
    show_default=True,
    help="The most key columns of an index; INCLUDE does not count.",
)
@click.option(
    "--engine",
    type=click.Choice(_ENGINES),
    default="auto",
    show_default=True,
    help="Who answers what-if: a lab without data here, or HypoPG on the target.",
)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    help="The time for the search; the best set so far is printed when it is up.",
)
@click.option(
    "--guard/--no-guard",
    default=True,
    show_default=True,
    help="Keep away from plans that are cheap by estimate and risk to be slow.",
)
@click.option(
    "--verify",
    "copy",
    metavar="TARGET",
    help="A copy of TARGET: the set is built there, the queries run, and what does not help is "
    "taken out; everything is dropped in the end. Never the target itself.",
)
@click.option(
    "--verify-seconds",
    type=click.FloatRange(min=1),
    default=1800,
    show_default=True,
    help="The time for running queries on the copy.",
)
@click.option(
    "--verify-timeout",
    type=click.FloatRange(min=0.1),
    default=60,
    show_default=True,
    help="The longest that one query may run on the copy, in seconds.",
)
@click.option("--no-progress", is_flag=True, help="Show no progress.")
def indexes(
    target: str | None,
    folder: Path | None,
    budget: int | None,
    max_width: int,
    engine: str,
    form: str,
    seconds: float,
    guard: bool,
    copy: str | None,
    verify_seconds: float,
    verify_timeout: float,
    no_progress: bool,
) -> int:
    """Advise indexes for TARGET's workload, proven by the planner; nothing is changed there."""
    from pgwatch_wed.whatif import engines, output
    from pgwatch_wed.whatif.choose.advise import AdviceOptions
    from pgwatch_wed.whatif.proof.truth import VerifyOptions

    if budget is not None and budget < 1:
        raise UsageError("the budget is nothing", "give one such as --budget 500MB")
    wanted = AdviceOptions(budget, max_width, seconds, guard)
    measuring = VerifyOptions(timeout_s=verify_timeout, seconds=verify_seconds)
    trial = engines.Copy(connect.resolve(copy), measuring) if copy else None
    progress = ProgressBar(enabled=not no_progress)
    try:
        advice = engines.advise_target(
            connect.resolve(target), folder, wanted, engine, progress, trial
        )
    finally:
        progress.clear()
    click.echo(output.FORMATS[form](advice), nl=form == "json")
    return 0
