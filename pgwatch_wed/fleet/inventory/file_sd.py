"""Prometheus' file_sd: lists of ``host:port`` with labels; no database, no user, no password.

Where postgres_exporter has many targets, each may be what it takes: ``host:port/database``, or a URI.
"""

from typing import Any

from pgwatch_wed.fleet.inventory.addresses import address, split_address
from pgwatch_wed.fleet.inventory.entries import Entry, SourceDocument
from pgwatch_wed.fleet.inventory.listing import Listing, Located
from pgwatch_wed.fleet.inventory.member_table import WrongEntryError, checked_name, resolved, tags
from pgwatch_wed.fleet.members import LeftOut, Member
from pgwatch_wed.target import connect

# Of exporters, by convention: the server listens elsewhere.
_EXPORTERS = {"9187": "postgres_exporter", "9100": "node_exporter", "9127": "pgbouncer_exporter"}


def file_sd_members(documents: list[SourceDocument], located: Located) -> Listing:
    """Return a member for each target that is a server."""
    members: list[Member] = []
    left_out: list[LeftOut] = []
    for document in documents:
        groups = document if isinstance(document, list) else [Entry(document, located.label)]
        for group in groups:
            try:
                found, labels = _group(group)
            except WrongEntryError as error:
                left_out.append(group.left_out("", str(error), is_wrong=True))
                continue
            for target in found:
                _add(target, labels, group, members, left_out)
    return Listing(tuple(members), tuple(left_out))


def _group(entry: Entry) -> tuple[list[Any], dict[str, str]]:
    if entry.problem:
        raise WrongEntryError(entry.problem)
    value = entry.value
    if not isinstance(value, dict) or not isinstance(value.get("targets"), list):
        raise WrongEntryError("a group must be a mapping with a list of targets")
    labels = value.get("labels") or {}
    if not isinstance(labels, dict):
        raise WrongEntryError("labels must be a mapping")
    return value["targets"], tags({k: v for k, v in labels.items() if not k.startswith("__")})


def _add(
    target: Any,
    labels: dict[str, str],
    group: Entry,
    members: list[Member],
    left_out: list[LeftOut],
) -> None:
    try:
        if not isinstance(target, str) or not target.strip():
            raise WrongEntryError("a target must be a text such as 'db1:5432'")
        conninfo, name, port = _read(target.strip())
    except WrongEntryError as error:
        left_out.append(group.left_out("", str(error), is_wrong=True))
        return
    if port in _EXPORTERS:
        why = f"port {port} is that of {_EXPORTERS[port]}, not of a server"
        left_out.append(group.left_out(name, why))
        return
    members.append(
        Member(name, (conninfo,), tags=labels, group=labels.get("group", ""), place=group.place)
    )


def _read(target: str) -> tuple[str, str, str | None]:
    """Return conninfo, name and port of a target; a name has no password."""
    if "://" in target:
        conninfo = resolved(target)
        return conninfo, checked_name(connect.label(conninfo)), None
    place, _, database = target.partition("/")
    host, port = split_address(place)
    return address(host, port, database), checked_name(target), port
