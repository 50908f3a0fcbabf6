"""What ``aws rds describe-db-instances`` and ``describe-db-clusters`` print: instances with their replicas, and Aurora."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.fleet.inventory.addresses import address
from pgwatch_wed.fleet.inventory.entries import (
    Entry,
    SourceDocument,
    entries,
    list_of,
    mapping_of,
    text_of,
)
from pgwatch_wed.fleet.inventory.listing import Listing, Located
from pgwatch_wed.fleet.inventory.member_table import WrongEntryError, checked_name, tags
from pgwatch_wed.fleet.members import LeftOut, Member

# Whoever is neither of these has a server that answers, if slowly: modifying, backing-up, upgrading, …
_ASLEEP = frozenset(
    {"creating", "deleting", "failed", "starting", "stopped", "stopping", "inaccessible-encryption-credentials",
     "incompatible-network", "incompatible-restore", "restore-error", "insufficient-capacity", "paused"}
)  # fmt: skip


@dataclass(slots=True)
class _Found:
    """A cluster: its addresses, the writer first."""

    name: str
    entry: Entry
    database: str
    tags: Any
    writers: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    endpoints: list[str] = field(default_factory=list)


def rds_members(documents: list[SourceDocument], located: Located) -> Listing:
    """Return a member for each instance with its read replicas, and for each cluster."""
    left_out: list[LeftOut] = []
    clusters = _all(documents, "DBClusters", located.label)
    instances = _all(documents, "DBInstances", located.label)
    found: dict[str, _Found] = {}
    writers: set[str] = set()
    for entry, value in _usable(clusters, "DBClusterIdentifier", "Status", left_out):
        name = text_of(value.get("DBClusterIdentifier"))
        cluster = _Found(name, entry, text_of(value.get("DatabaseName")), value.get("TagList"))
        port = value.get("Port")
        ends = (text_of(value.get("Endpoint")), text_of(value.get("ReaderEndpoint")))
        try:
            cluster.endpoints = [address(end, port, cluster.database) for end in ends if end]
        except WrongEntryError as error:
            left_out.append(entry.left_out(name, str(error), is_wrong=True))
            continue
        found[f"cluster {name}"] = cluster
        writers |= {
            text_of(mapping_of(member).get("DBInstanceIdentifier"))
            for member in list_of(value.get("DBClusterMembers"))
            if mapping_of(member).get("IsClusterWriter") is True
        }
    _add_instances(instances, found, writers, left_out)
    members = []
    for cluster in found.values():
        try:
            members.append(_member(cluster))
        except WrongEntryError as error:
            left_out.append(cluster.entry.left_out(cluster.name, str(error), is_wrong=True))
    return Listing(tuple(m for m in members if m.targets), tuple(left_out))


def _all(documents: Iterable[SourceDocument], key: str, label: str) -> list[Entry]:
    """Return the entries under a key, of each document and of lists of documents, as ``jq -s`` makes them.

    Those of a list without the key are what ``--query 'DBInstances[]'`` leaves of it.
    """
    found: list[Entry] = []
    for document in documents:
        parts = [Entry(document, label)] if isinstance(document, dict) else document
        for part in parts:
            value = mapping_of(part.value)
            if key in value:
                found += entries(value[key], f"{label}, {key}")
            elif _key_of(value) == key:
                found.append(part)
    return found


def _key_of(value: dict[str, Any]) -> str:
    """Return under which key a description usually is: an instance also names its cluster."""
    if "DBInstanceIdentifier" in value:
        return "DBInstances"
    return "DBClusters" if "DBClusterIdentifier" in value else ""


def _usable(
    listed: list[Entry], name_key: str, status_key: str, left_out: list[LeftOut]
) -> Iterable[tuple[Entry, dict[str, Any]]]:
    for entry in listed:
        value = mapping_of(entry.value)
        name, engine = text_of(value.get(name_key)), text_of(value.get("Engine"))
        status = text_of(value.get(status_key))
        if not name:
            left_out.append(entry.left_out("", f"{name_key} is missing", is_wrong=True))
        elif engine not in ("postgres", "aurora-postgresql"):
            left_out.append(entry.left_out(name, f"its engine is {engine or 'not named'}"))
        elif status in _ASLEEP:
            left_out.append(entry.left_out(name, f"its status is {status}"))
        else:
            yield entry, value


def _add_instances(
    listed: list[Entry], found: dict[str, _Found], writers: set[str], left_out: list[LeftOut]
) -> None:
    usable = list(_usable(listed, "DBInstanceIdentifier", "DBInstanceStatus", left_out))
    primaries = {v["DBInstanceIdentifier"] for _, v in usable if not _source(v)}
    # a replica follows its source, which knows the name of the database
    for entry, value in sorted(usable, key=lambda each: bool(_source(each[1]))):
        name = text_of(value.get("DBInstanceIdentifier"))
        endpoint = mapping_of(value.get("Endpoint"))
        host, database = text_of(endpoint.get("Address")), text_of(value.get("DBName"))
        if not host:
            left_out.append(entry.left_out(name, "it has no endpoint yet"))
            continue
        cluster, source = text_of(value.get("DBClusterIdentifier")), _source(value)
        if cluster:
            key = f"cluster {cluster}"
        else:
            # a replica whose source is not listed, as in another region, is a cluster of its own
            key = f"instance {source if source in primaries else name}"
        named = cluster or key.partition(" ")[2]
        target = found.setdefault(key, _Found(named, entry, database, value.get("TagList")))
        is_writer = name in writers if cluster else not source
        try:
            place = address(host, endpoint.get("Port"), database or target.database)
        except WrongEntryError as error:
            left_out.append(entry.left_out(name, str(error), is_wrong=True))
        else:
            (target.writers if is_writer else target.readers).append(place)


def _source(value: dict[str, Any]) -> str:
    """Return the name of the instance that one replicates; another region's is an ARN."""
    return text_of(value.get("ReadReplicaSourceDBInstanceIdentifier")).rpartition(":")[2]


def _member(found: _Found) -> Member:
    pairs = (mapping_of(pair) for pair in list_of(found.tags))
    return Member(
        name=checked_name(found.name),
        targets=tuple([*found.writers, *found.readers] or found.endpoints),
        tags=tags({text_of(p.get("Key")): text_of(p.get("Value")) for p in pairs if p.get("Key")}),
        place=found.entry.place,
    )
