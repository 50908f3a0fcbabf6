"""db-analyze check: what this role and server allow, and what would allow more."""

import sys

import click
from tabulate import tabulate

from pgwatch_wed.facts import Cause, Snapshot
from pgwatch_wed.postgres import privileges
from pgwatch_wed.remedies import authority
from pgwatch_wed.rules import Rule, all_rules
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
    lacking = {n: m for n, m in snapshot.missing.items() if m.cause is not Cause.LEFT_OUT}
    if verbose:
        rows = [(n.replace("_", " "), _state(snapshot, n)) for n in sorted(collecting.ORDER)]
        click.echo(tabulate(rows, headers=["fact", "state"], maxcolwidths=[24, 52]) + "\n")
    if not lacking:
        click.echo("Everything can be read: no rule lacks privileges or extensions.")
        return
    for name, missing in lacking.items():
        fact, _, some = name.partition(":")
        words = f"{'some ' if some else ''}{fact.replace('_', ' ')}"
        click.echo(click.style(words, bold=True) + f": {missing.reason}")
        held = [r.id for r in all_rules() if fact in r.needs]
        if held:
            click.echo(f"  rules affected: {', '.join(held)}")
    mends = dict.fromkeys(line for m in lacking.values() for line in m.mend.splitlines())
    if mends:
        click.echo("\nTo allow more:\n")
        for mend in mends:
            click.echo(f"  {mend}")
            if who := _who_grants(snapshot, mend):
                click.echo(click.style(f"      run as: {who}", dim=True))
    granted = (m.mend for m in lacking.values() if m.cause is Cause.DENIED)
    for warning in privileges.warnings("\n".join(dict.fromkeys(granted))):
        click.echo(f"\n{warning}")
    judgeable = sum(_can_judge(r, snapshot) for r in all_rules())
    click.echo(f"\n{judgeable} of {len(all_rules())} rules can be evaluated.")
    sys.stdout.flush()


def _who_grants(snapshot: Snapshot, mend: str) -> str:
    """Name who may run what is SQL, and not advice."""
    try:
        trees.parse(mend)
    except trees.UnreadableError:
        return ""
    return authority.run_as(snapshot, mend)


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


def _can_judge(rule: Rule, snapshot: Snapshot) -> bool:
    return not any(need in snapshot.missing for need in rule.needs)
