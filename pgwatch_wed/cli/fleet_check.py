"""db-analyze fleet check: which clusters are reached, as what, and what would allow more."""

import json
from collections.abc import Iterator
from typing import Any

import click

from pgwatch_wed import __version__, clock, units
from pgwatch_wed.cli import fleet_options
from pgwatch_wed.fleet.fleet_look import look
from pgwatch_wed.fleet.fleet_units import Unit, VisitPlan, why_closed
from pgwatch_wed.fleet.visiting import why_skipped
from pgwatch_wed.quote import ident
from pgwatch_wed.render.characters import in_json, visible_line
from pgwatch_wed.target import connect


@click.command("check")
@fleet_options.with_inventory
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=32,
    show_default=True,
    metavar="N",
    help="Clusters that are asked at the same time.",
)
@fleet_options.connect_timeout
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True
)
def command(concurrency: int, connect_s: int, form: str, **given: Any) -> int:
    """Look at every cluster of an inventory: who is reached, as what, which are the same, and what is in the way.

    Each target gets one short connection, also outside its window; nothing is kept. The status is 2 if a part of the inventory could not be used,
    and 3 if no cluster could be reached.
    """
    found = fleet_options.inventory_of(**given)
    fleet_options.say_what_is_wrong(found)
    members = [member for member in found.members if member.is_enabled]
    disabled = [member.name for member in found.members if not member.is_enabled]
    plan = look(members, concurrency, connect_s)
    if form == "json":
        told = document(plan) | {"disabled": disabled}
        click.echo(in_json(json.dumps(told, ensure_ascii=False, indent=2)))
    else:
        for line in _lines(plan, len(disabled)):
            click.echo(visible_line(line))
    if members and not plan.units:
        return 3
    return 2 if found.is_wrong else 0


def _lines(plan: VisitPlan, disabled: int) -> Iterator[str]:
    for unit in plan.units:
        standbys = (
            f", {units.count(len(unit.standbys), 'standby', 'standbys')}" if unit.standbys else ""
        )
        read = units.count(len(unit.databases), "database")
        yield f"{unit.member.name}: {_server(unit)}{standbys}, {read} to read"
        for said in _lacks(unit):
            yield f"  {said}"
    for double in plan.doubles:
        yield f"{double.member.name}: {double.reason}"
    for lost in plan.lost:
        mend = f" ({lost.failure.mend})" if lost.failure.mend else ""
        yield f"{lost.member.name}: {lost.failure.ending.value}: {lost.failure.reason}{mend}"
    total = len(plan.units) + len(plan.lost)
    others = f"; {disabled:,} disabled" if disabled else ""
    yield f"{len(plan.units)} of {units.count(total, 'cluster')} reached{others}"


def _server(unit: Unit) -> str:
    kind = "standby" if unit.probe.is_in_recovery else "primary"
    return f"{connect.label(unit.probe.target)}, PostgreSQL {unit.probe.version}, {kind}"


def _lacks(unit: Unit) -> Iterator[str]:
    closed = why_skipped(unit.member, clock.now())
    if closed is not None:
        yield f"fleet run skips it at this time: {closed.reason}; {closed.mend}"
    for label, why in unit.unread.items():
        yield f"{label}: {why.reason}"
    yield from (f"{name}: {why}" for name, why in why_closed(unit).items())
    if not unit.databases:
        yield "none of its databases is to be read: see databases in the inventory"
    if not unit.probe.reads_all_stats:
        role = ident(unit.probe.role)
        yield f"{unit.probe.role} does not see other roles' statistics: GRANT pg_monitor TO {role};"
    if unit.probe.system_identifier is None:
        yield "the role may not read the system identifier: its standbys and other names are not recognized"


def document(plan: VisitPlan) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "schema_version": 1,
        "tool": {"name": "pgwatch_wed", "version": __version__},
        "clusters": [
            {
                "name": unit.member.name,
                "label": connect.label(unit.probe.target),
                "server_version": unit.probe.version,
                "system_identifier": unit.probe.system_identifier,
                "is_in_recovery": unit.probe.is_in_recovery,
                "role": unit.probe.role,
                "databases": [name for name, _ in unit.databases],
                "standbys": [connect.label(each) for each in unit.standbys],
                "lacks": list(_lacks(unit)),
            }
            for unit in plan.units
        ],
        "same": [
            {"name": d.member.name, "same_as": d.same_as, "reason": d.reason} for d in plan.doubles
        ],
        "not_reached": [
            {
                "name": each.member.name,
                "ending": each.failure.ending.value,
                "reason": each.failure.reason,
                "mend": each.failure.mend,
                "is_temporary": each.failure.is_temporary,
            }
            for each in plan.lost
        ],
    }
