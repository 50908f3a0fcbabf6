"""db-analyze check: what this role and server allow, and what would allow more."""

import sys
from collections.abc import Iterable, Iterator, Mapping

import click
from tabulate import tabulate

from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.postgres import privileges
from pgwatch_wed.remedies import authority
from pgwatch_wed.rules import all_rules
from pgwatch_wed.sqltext import trees
from pgwatch_wed.target import collect as collecting
from pgwatch_wed.target import connect

# Enough to see whether a fact can be read; the rows themselves are not needed.
_PROBE = collecting.CollectLimits(
    max_relations=100,
    max_indexes=100,
    max_columns=100,
    max_constraints=100,
    max_statements=10,
    max_texts=1,
)


@click.command()
@click.argument("target", required=False)
@click.option("--verbose", "-v", is_flag=True, help="Also list the facts that can be read.")
def check(target: str | None, verbose: bool) -> None:
    """Show what this role can read, and what would allow more.

    Lists the GRANTs, extensions and settings that are missing.
    """
    conninfo = connect.resolve(target)
    snapshot = collecting.collect(conninfo, limits=_PROBE)
    server = snapshot.server
    kind = "standby" if server.is_in_recovery else "primary"
    click.echo(f"{connect.label(conninfo)}: PostgreSQL {server.version}, {kind}")
    click.echo(f"role {server.role}: {_rights(snapshot)}\n")
    lacking = dict(_lacking(snapshot))
    if verbose:
        rows = [(n.replace("_", " "), _state(snapshot, n)) for n in sorted(collecting.ORDER)]
        click.echo(tabulate(rows, headers=["fact", "state"], maxcolwidths=[24, 52]) + "\n")
    if not lacking:
        click.echo("Everything can be read: no rule lacks privileges or extensions.")
        return
    _list(lacking)
    _mend(snapshot, lacking.values())
    judgeable = sum(lacking.keys().isdisjoint(r.needs) for r in all_rules())
    click.echo(f"\n{judgeable} of {len(all_rules())} rules can be evaluated.")
    sys.stdout.flush()


def _lacking(snapshot: Snapshot) -> Iterator[tuple[str, Missing]]:
    """Yield what cannot be read, by fact; what only run adds to the facts depends on the tables."""
    for name, missing in snapshot.missing.items():
        if missing.cause not in (Cause.LEFT_OUT, Cause.NOT_ASKED):
            yield name, missing
    if (closed := privileges.tables_closed(snapshot)) is not None:
        yield "missing_indexes", closed


def _list(lacking: Mapping[str, Missing]) -> None:
    for name, missing in lacking.items():
        fact, _, some = name.partition(":")
        words = f"{'some ' if some else ''}{fact.replace('_', ' ')}"
        click.echo(click.style(words, bold=True) + f": {missing.reason}")
        held = [r.id for r in all_rules() if fact in r.needs]
        if held:
            click.echo(f"  rules affected: {', '.join(held)}")


def _mend(snapshot: Snapshot, lacking: Iterable[Missing]) -> None:
    mends = dict.fromkeys(line for m in lacking for line in m.mend.splitlines())
    if not mends:
        return
    click.echo("\nTo allow more:\n")
    for mend in mends:
        click.echo(f"  {mend}")
        if who := _who_grants(snapshot, mend):
            click.echo(click.style(f"      run as: {who}", dim=True))
    granted = [mend for mend in mends if _is_sql(mend)]
    for warning in privileges.warnings("\n".join(granted)):
        click.echo(f"\n{warning}")


def _who_grants(snapshot: Snapshot, mend: str) -> str:
    """Name who may run what is SQL, and not advice."""
    return authority.run_as(snapshot, mend) if _is_sql(mend) else ""


def _is_sql(mend: str) -> bool:
    try:
        trees.parse(mend)
    except trees.UnreadableError:
        return False
    return True


def _rights(snapshot: Snapshot) -> str:
    server = snapshot.server
    if server.is_superuser:
        return "superuser (pg_monitor would be enough)"
    known = [r for r in server.role_memberships if r in _USEFUL]
    return f"member of {', '.join(known)}" if known else "no monitoring role"


_USEFUL = ("pg_monitor", "pg_read_all_stats", "pg_read_all_settings", "pg_read_all_data")


def _state(snapshot: Snapshot, name: str) -> str:
    missing = snapshot.missing.get(name)
    return missing.reason if missing else "readable"
