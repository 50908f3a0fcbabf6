"""db-analyze history and baseline: what is kept of earlier runs, and which of them have names."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import sqlalchemy as sa
from tabulate import tabulate

from pgwatch_wed import clock, config, units
from pgwatch_wed.cli.options import CommaList, FilePath
from pgwatch_wed.cli.summaries import SummarizedGroup
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import access, archive, retention, runs, states, store
from pgwatch_wed.history.lifecycle import Acknowledgement, FindingState, Presence
from pgwatch_wed.history.runs import StoredRun
from pgwatch_wed.render.characters import in_json, visible_line

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_URL = click.option(
    "--history", "url", metavar="URL", help="Which history. [default: the user's own]"
)
_FORMAT = click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True
)


def _open(url: str | None, *, must_exist: bool = True) -> store.Store:
    return store.open_store(url or config.load(None).history, must_exist=must_exist)


def _tell(form: str, document: Any, text: str) -> None:
    if form == "json":
        click.echo(in_json(json.dumps(document, ensure_ascii=False, indent=2)))
    elif text:
        click.echo(text)


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = [[visible_line(str(cell)) for cell in row] for row in rows]
    return tabulate(cells, headers=list(heads), tablefmt="plain", disable_numparse=True)


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _iso(moment: datetime | date | None) -> str | None:
    return moment.isoformat() if moment else None


@click.group(cls=SummarizedGroup, context_settings=_SETTINGS)
def history() -> None:
    """Show, clean up, export and import what is kept of earlier runs."""


# --- what is there --------------------------------------------------------------------------------


@history.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@_URL
@_FORMAT
def list_runs(limit: int, url: str | None, form: str) -> int:
    """List the runs, the newest first."""
    with _open(url).reading() as connection:
        found = runs.listed(connection, limit=limit)
        names = _names(connection)
        size = retention.size_bytes(connection)
    document = {"runs": [_run(r, names) for r in found], "size_bytes": size}
    heads = ("run", "taken at (UTC)", "server", "PostgreSQL", "baseline")
    rows = [
        (r.id, _when(r.taken_at), r.label, r.server_version, ", ".join(names.get(r.id, ())))
        for r in found
    ]
    text = f"{_table(heads, rows)}\n\nThe history takes {units.size(size)}."
    _tell(form, document, text if found else "There are no runs.")
    return 0


def _names(connection: sa.Connection) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for named in states.named_runs(connection):
        found.setdefault(named.run_id, []).append(named.name)
    return found


def _run(run: StoredRun, names: dict[int, list[str]]) -> dict[str, Any]:
    return {
        "run": run.id,
        "cluster": run.cluster_id,
        "taken_at": run.taken_at.isoformat(),
        "label": run.label,
        "server_version": run.server_version,
        "tool_version": run.tool_version,
        "is_evaluated": run.report is not None,
        "baselines": names.get(run.id, []),
    }


@history.command()
@click.argument("reference", metavar="RUN|DATE|NAME", required=False)
@click.option("--state", "wanted", type=CommaList(tuple(s.value for s in Presence)), multiple=True)
@_URL
@_FORMAT
def show(
    reference: str | None, wanted: tuple[tuple[str, ...], ...], url: str | None, form: str
) -> int:
    """Show a run, and the findings of its server over all runs.

    The default is the newest run.
    """
    chosen = {state for several in wanted for state in several}
    with _open(url).reading() as connection:
        run = _find(connection, reference)
        names = _names(connection)
        found = [
            s
            for s in states.states(connection, run.cluster_id)
            if not chosen or s.state.value in chosen
        ]
        known = {a.finding_id: a for a, _ in states.acknowledged(connection, run.cluster_id)}
    document = {
        **_run(run, names),
        "findings": [_state(s, known.get(s.finding_id)) for s in found],
    }
    _tell(form, document, _shown(run, found, known))
    return 0


def _find(connection: sa.Connection, reference: str | None) -> StoredRun:
    if reference is not None:
        return runs.find(connection, reference)
    newest = runs.listed(connection, limit=1)
    if not newest:
        raise UsageError("the history has no runs", "db-analyze run adds one")
    return newest[0]


def _state(s: FindingState, known: Acknowledgement | None) -> dict[str, Any]:
    return {
        "id": s.finding_id,
        "rule": s.rule,
        "object": s.label,
        "severity": s.severity.value,
        "state": s.state.value,
        "first_seen": _iso(s.first_seen),
        "last_seen": _iso(s.last_seen),
        "resolved_at": _iso(s.resolved_at),
        "came_back_at": _iso(s.came_back_at),
        "times_resolved": s.times_resolved,
        "acknowledged": known
        and {
            "by": known.name,
            "reason": known.reason,
            "at": _iso(known.acknowledged_at),
            "until": _iso(known.until),
        },
    }


def _shown(run: StoredRun, found: Sequence[FindingState], known: dict[str, Acknowledgement]) -> str:
    head = (
        f"Run {run.id} of {_when(run.taken_at)} UTC: {run.label}, PostgreSQL {run.server_version}"
    )
    parts = [visible_line(head), ""]
    for s in found:
        parts.append(
            visible_line(f"{s.finding_id}  {s.state.value:<8} {s.severity.value:<8} {s.rule}")
        )
        parts.append(visible_line(f"  {s.label}"))
        parts.append(f"  {_dates(s)}")
        if (given := known.get(s.finding_id)) is not None:
            until = f" until {given.until}" if given.until else ""
            parts.append(visible_line(f"  acknowledged by {given.name}{until}: {given.reason}"))
    if not found:
        parts.append("No findings.")
    return "\n".join(parts)


def _dates(s: FindingState) -> str:
    said = f"first seen {s.first_seen:%Y-%m-%d}, last seen {s.last_seen:%Y-%m-%d}"
    if s.state is Presence.RESOLVED and s.resolved_at:
        said += f", resolved {s.resolved_at:%Y-%m-%d}"
    elif s.came_back_at:
        said += f", came back {s.came_back_at:%Y-%m-%d}"
    return said


# --- acknowledging --------------------------------------------------------------------------------


@history.command()
@click.argument("finding", metavar="FINDING")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The last day. [default: no end]",
)
@click.option("--reason", help="Why it may stay.")
@click.option("--by", "name", help="Who says so.")
@click.option("--undo", is_flag=True, help="Report it again.")
@_URL
@_FORMAT
def acknowledge(
    finding: str,
    until: datetime | None,
    reason: str | None,
    name: str | None,
    undo: bool,
    url: str | None,
    form: str,
) -> int:
    """Take FINDING, an id or its beginning, out of the reports until a date, or until it becomes worse."""
    if not undo and not (reason and reason.strip() and name and name.strip()):
        raise UsageError("an acknowledgement needs a reason and a name", "add --reason and --by")
    now = clock.now()
    with _open(url).writing() as connection:
        cluster_id, state = _state_of(connection, finding)
        if undo:
            if not states.forget(connection, cluster_id, state.finding_id):
                raise UsageError(f"{state.finding_id} is not acknowledged")
            said = f"{state.rule} {state.label} is reported again"
        else:
            last = until.date() if until else None
            if last is not None and last < now.date():
                raise UsageError(
                    f"--until {last} is in the past", "give the last day on which it holds"
                )
            given = Acknowledgement(
                *(state.finding_id, state.severity, now, last), reason or "", name or ""
            )
            states.acknowledge(connection, cluster_id, given)
            said = f"{state.rule} {state.label} is acknowledged" + (
                f" until {last}" if last else ""
            )
    _tell(form, {"id": state.finding_id, "is_acknowledged": not undo}, visible_line(said))
    return 0


def _state_of(connection: sa.Connection, beginning: str) -> tuple[int, FindingState]:
    clusters = dict.fromkeys(run.cluster_id for run in runs.listed(connection))
    found = [
        (cluster_id, state)
        for cluster_id in clusters
        for state in states.states(connection, cluster_id)
        if beginning and state.finding_id.startswith(beginning)
    ]
    if not found:
        raise UsageError(f"no finding has the id {beginning}", "see `db-analyze history show`")
    if len(found) > 1:
        raise UsageError(f"several findings begin with {beginning}", "give the whole id")
    return found[0]


# --- cleaning up, and moving ------------------------------------------------------------------------


@history.command()
@click.argument("role", type=click.Choice([each.value for each in access.HistoryRole]))
@click.argument("members", nargs=-1, metavar="[ROLE]…")
@click.option("--print", "is_printed", is_flag=True, help="Print the SQL instead of executing it.")
@_URL
def grant(role: str, members: tuple[str, ...], is_printed: bool, url: str | None) -> int:
    """Let roles write a history on PostgreSQL (fleet) or only read it (reader).

    It is done once, by a superuser or by a role with CREATEROLE that owns the database: it creates the roles
    pgwatch_wed_fleet, which owns the tables, and pgwatch_wed_reader, and makes each ROLE a member.
    """
    wanted = access.HistoryRole(role)
    if is_printed:
        click.echo(access.script(wanted, members), nl=False)
        return 0
    where = store.place(url or config.load(None).history)
    store.grant(where, wanted, members)
    told = ", ".join(members) or "nobody yet"
    click.echo(visible_line(f"Members of {wanted.group}: {told}."))
    return 0


@history.command()
@click.option("--all-for", default="2 d", show_default=True, help="How long all runs are kept.")
@click.option(
    "--daily-for", default="100 d", show_default=True, help="How long one run a day is kept."
)
@click.option(
    "--monthly-for", default="1095 d", show_default=True, help="How long one run a month is kept."
)
@click.option(
    "--max-size",
    metavar="SIZE",
    help="Remove the oldest runs until the history is not larger, such as 1GB.",
)
@_URL
@_FORMAT
def prune(
    all_for: str, daily_for: str, monthly_for: str, max_size: str | None, url: str | None, form: str
) -> int:
    """Remove old runs. Baselines stay, and so does the newest run of each server."""
    policy = retention.Retention(
        config.span(all_for, "--all-for"),
        config.span(daily_for, "--daily-for"),
        config.span(monthly_for, "--monthly-for"),
        config.size(max_size, "--max-size") if max_size else None,
    )
    opened = _open(url)
    with opened.writing() as connection:
        retention.prune_common(connection, clock.now(), policy)
        shares = list(retention.shares(connection, sys.maxsize))
    by_age = replace(policy, max_bytes=None)
    removed = sum(_removed(opened, by_age, share) for share in shares)
    if policy.max_bytes is not None:
        removed += _removed(opened, policy, None)
    _tell(form, {"removed": removed}, f"Removed {units.count(removed, 'run')}.")
    return 0


def _removed(opened: store.Store, policy: retention.Retention, share: Sequence[int] | None) -> int:
    """Remove what is due of some clusters, or all; return how many runs."""
    removed = 0
    while True:
        with opened.writing() as connection:
            done = retention.prune(connection, clock.now(), policy, share=share)
        removed += done.runs
        if not done.left or not done.runs:
            return removed


@history.command()
@click.argument("references", nargs=-1, metavar="[RUN|DATE|NAME]…")
@click.option(
    "--output",
    "-o",
    "folder",
    type=FilePath(file_okay=False, path_type=Path),
    required=True,
    help="The directory for the files.",
)
@_URL
@_FORMAT
def export(references: tuple[str, ...], folder: Path, url: str | None, form: str) -> int:
    """Write runs as files: a snapshot for each database, and the report. The default is all runs."""
    written: list[str] = []
    failed = 0
    with _open(url).reading() as connection:
        wanted = [runs.find(connection, r) for r in references] or list(runs.listed(connection))
        for run in wanted:
            try:
                written += map(str, archive.write(connection, run, folder))
            except archive.BROKEN as error:
                failed += 1
                click.echo(f"warning: run {run.id} is left out: {error}", err=True)
    text = f"Wrote {units.count(len(written), 'file')} to {folder}."
    _tell(form, {"files": written, "left_out": failed}, text)
    return 3 if failed else 0


@history.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="FILE…", type=FilePath(path_type=Path))
@_URL
@_FORMAT
def import_runs(paths: tuple[Path, ...], url: str | None, form: str) -> int:
    """Add snapshots, in any order: files, or directories that contain them. What is there already is not added again.

    Snapshots of one server that were taken at the same time by the same run are one run. They are evaluated with the
    rules and the configuration of today, so that their findings can be followed.
    """
    done = archive.Imported()
    opened = _open(url, must_exist=False)
    settings = config.load(None)
    for group in archive.groups(paths, done):
        archive.add(opened, group, settings_evaluate(settings), done)
    archive.finish(opened, done)
    for reason in done.refused:
        click.echo(f"warning: {reason}", err=True)
    document = {"added": done.added, "known": done.known, "refused": list(done.refused)}
    text = (
        f"Added {units.count(done.added, 'run')}; {done.known} known, {len(done.refused)} refused."
    )
    _tell(form, document, text)
    return 3 if done.refused else 0


def settings_evaluate(settings: config.Config) -> archive.Evaluate:
    """Return what evaluates the snapshots of one run."""
    from pgwatch_wed.analyse import analyse
    from pgwatch_wed.render import json_v1

    def evaluate(read: tuple[Snapshot, ...]) -> tuple[Any, str]:
        report = analyse(read, settings)
        return report, json_v1.render(report)

    return evaluate


# --- baselines ------------------------------------------------------------------------------------


@click.group(cls=SummarizedGroup, context_settings=_SETTINGS)
def baseline() -> None:
    """Give runs names: they are kept, and can be compared with."""


@baseline.command("set")
@click.argument("name")
@click.argument("reference", metavar="[RUN|DATE]", required=False)
@click.option("--note", default="", help="What is special about it.")
@_URL
@_FORMAT
def set_(name: str, reference: str | None, note: str, url: str | None, form: str) -> int:
    """Call a run NAME; the default is the newest. The run that had this name before loses it."""
    with _open(url).writing() as connection:
        run = _find(connection, reference)
        states.set_baseline(connection, name, run, clock.now(), note)
    said = f"{name} is run {run.id} of {_when(run.taken_at)} UTC, {run.label}."
    _tell(form, {"name": name, "run": run.id}, visible_line(said))
    return 0


@baseline.command("list")
@_URL
@_FORMAT
def list_baselines(url: str | None, form: str) -> int:
    """List the baselines."""
    with _open(url).reading() as connection:
        named = states.named_runs(connection)
        taken = {run.id: run for run in runs.listed(connection)}
    document = [
        {"name": n.name, "run": n.run_id, "set_at": _iso(n.set_at), "note": n.note} for n in named
    ]
    rows = [
        (n.name, n.run_id, _when(taken[n.run_id].taken_at), taken[n.run_id].label, n.note)
        for n in named
        if n.run_id in taken
    ]
    text = _table(("name", "run", "taken at (UTC)", "server", "note"), rows)
    _tell(form, {"baselines": document}, text if rows else "There are no baselines.")
    return 0


@baseline.command()
@click.argument("name")
@_URL
@_FORMAT
def drop(name: str, url: str | None, form: str) -> int:
    """Take NAME away from its run, which stays until it is due."""
    with _open(url).writing() as connection:
        named = [n for n in states.named_runs(connection) if n.name == name]
        for each in named:
            states.drop_baseline(connection, each.cluster_id, name)
    if not named:
        raise UsageError(f"there is no baseline {name}", "see `db-analyze baseline list`")
    _tell(form, {"dropped": name}, visible_line(f"{name} is no baseline any more."))
    return 0
