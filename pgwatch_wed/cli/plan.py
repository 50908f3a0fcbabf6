"""db-analyze plan: what to do, in order, as text, as scripts for psql, or as Alembic revisions."""

import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from pgwatch_wed import paths, units
from pgwatch_wed.analyse import analyse, looked_at
from pgwatch_wed.cli import options, plan_output, snapshot_sets
from pgwatch_wed.cli.alembic_project import AlembicProject, project
from pgwatch_wed.cli.colours import colour_wanted
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.remembering import acknowledged_before
from pgwatch_wed.cli.run import run
from pgwatch_wed.config import Config
from pgwatch_wed.errors import UsageError
from pgwatch_wed.findings import Report
from pgwatch_wed.gather import run as gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.render import plan_alembic, plan_sql
from pgwatch_wed.render.plan_text import plan_text
from pgwatch_wed.target import connect

_FORMS = ("text", "sql", "alembic")
_AS_IN_RUN = frozenset(
    (
        *("only", "ignore", "window", "memory", "config_file", "history_url", "no_history"),
        *("standbys", "all_databases", "budget_s", "exact_bloat", "advise", "no_progress"),
    )
)


@click.command()
@click.argument("sources", nargs=-1, metavar="[TARGET | FILE…]")
@click.option(
    "--as",
    "form",
    type=click.Choice(_FORMS),
    default="text",
    show_default=True,
    help="To read, a script for psql, or revisions for your own Alembic project.",
)
@click.option(
    "--output",
    "-o",
    type=FilePath(dir_okay=False, readable=False, path_type=Path),
    metavar="FILE",
    help="Write to a new file; beside plan.sql, plan.undo.sql undoes it. [default: standard output]",
)
@click.option(
    "--alembic-dir",
    "folder",
    type=FilePath(file_okay=False, readable=False, path_type=Path),
    metavar="DIR",
    help="Your Alembic project, for --as alembic: a revision after its head is added.",
)
def plan(
    sources: tuple[str, ...], form: str, output: Path | None, folder: Path | None, **given: Any
) -> int:
    """Write what to do, in order, for TARGET or for snapshot files, one per database.

    Nothing is changed on the server. The script can be run again if it stops half-way, and has another one beside it that undoes it.
    """
    _check(form, output, folder)
    settings = options.build_config(
        *(given["config_file"], given["only"], given["ignore"], None, given["window"]),
        memory=given["memory"],
    )
    added_to = project(folder) if folder is not None else None
    report = _report(sources, settings, given)
    if added_to is not None:
        return _add_revisions(report, added_to)
    return _write(report, form, output)


plan.params.extend(p for p in run.params if p.name in _AS_IN_RUN)


def _check(form: str, output: Path | None, folder: Path | None) -> None:
    """Refuse what would fail only after the analysis."""
    if (form == "alembic") != (folder is not None):
        raise UsageError(
            "--as alembic and --alembic-dir belong together",
            "--alembic-dir DIR names the project to which a revision is added",
        )
    if folder is not None and output is not None:
        raise UsageError("--output is for text and sql", "revisions go to --alembic-dir")
    if output is not None:
        plan_output.check_new(output, *_undo_of(form, output))


def _undo_of(form: str, output: Path) -> tuple[Path, ...]:
    return (plan_output.undo_path(output),) if form == "sql" else ()


# The report


def _report(sources: tuple[str, ...], settings: Config, given: dict[str, Any]) -> Report:
    files = [Path(source) for source in sources if _is_snapshot(source)]
    if files and len(files) == len(sources):
        return analyse(snapshot_sets.load(tuple(files)), settings, target=files[0].name)
    if len(sources) > 1:
        raise UsageError(
            "there can be only one TARGET, or several snapshot files", "run it once for each server"
        )
    conninfo = connect.resolve(sources[0] if sources else None)
    progress = ProgressBar(enabled=not given["no_progress"])
    try:
        demand = partial(looked_at, config=settings) if given["only"] else None
        wanted = replace(Wanted.from_options(given), looked_at=demand)
        snapshots = gather.gather(conninfo, wanted, progress)
        progress("evaluating the rules", 0.98)
        settings = acknowledged_before(snapshots, settings, given)
        return analyse(snapshots, settings, target=connect.label(conninfo) or None)
    finally:
        progress.clear()


def _is_snapshot(source: str) -> bool:
    """Tell whether a source means a file: what connects is a URI, key = value, or the name of a service."""
    path = Path(source)
    if paths.exists(path) and not paths.is_directory(path):
        return True
    return "://" not in source and (
        source.endswith((".zst", ".json")) or ("/" in source and "=" not in source)
    )


# What is written


def _write(report: Report, form: str, output: Path | None) -> int:
    if form == "text":
        documents = {output: f"{_text(report, is_shown=output is None)}\n"}
    else:
        undo = plan_output.undo_path(output).name if output is not None else ""
        documents = {output: plan_sql.plan_script(report, undo)}
    if output is None:
        click.echo(documents[output], nl=False)
        if form == "sql" and report.plan.actions:
            click.echo("note: with -o FILE, there is a script beside it that undoes it", err=True)
        return 0
    undos = {path: plan_sql.undo_script(report) for path in _undo_of(form, output)}
    _write_new({output: documents[output], **undos})
    return 0


def _text(report: Report, *, is_shown: bool) -> str:
    width = shutil.get_terminal_size((80, 24)).columns if is_shown else 80
    colour = is_shown and sys.stdout.isatty() and colour_wanted()
    return plan_text(report, width=width, colour=colour)


def _add_revisions(report: Report, added_to: AlembicProject) -> int:
    revisions = plan_alembic.plan_revisions(report, added_to.head)
    _write_new({added_to.versions / r.name: r.source for r in revisions})
    if not revisions:
        click.echo("no revision: the plan does not change the schema", err=True)
    left = plan_alembic.left_out(report)
    if left:
        click.echo(
            f"left out: {units.count(len(left), 'action')}; {plan_alembic.LEFT_OUT}", err=True
        )
    for action in left:
        why = f" (by hand: {action.by_hand})" if action.by_hand else ""
        click.echo(f"  {' '.join(action.title.split())}{why}", err=True)
    for action, missing in plan_alembic.missing_parts(report):
        click.echo(f"in part: {' '.join(action.title.split())}; not in the revision:", err=True)
        for sql in missing:
            click.echo(f"  {' '.join(sql.split())}", err=True)
    return 0


def _write_new(documents: dict[Path, str]) -> None:
    plan_output.write_new(documents)
    for path in documents:
        click.echo(f"written: {path}", err=True)
