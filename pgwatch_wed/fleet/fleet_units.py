"""Members and what their targets lead to → units: a cluster each, with its standbys, however often it is named.

A clone has the system identifier of the original and is a primary itself: it is another cluster. Pure: no connection.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pgwatch_wed.errors import UsageError
from pgwatch_wed.fleet.failures import Failure
from pgwatch_wed.fleet.inventory.service_file import in_full
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.probing import ProbedMember, ProbedServer
from pgwatch_wed.quote import ident
from pgwatch_wed.target import connect

_OF_PROVIDER = frozenset(("rdsadmin", "cloudsqladmin", "azure_maintenance", "azure_sys"))


@dataclass(frozen=True, slots=True)
class Unit:
    """One cluster: what a visit reads.

    ``member`` has the visit; ``members`` are all whose targets lead to it. ``databases`` are names with the conninfos
    that lead to them; the visit begins with the first. ``standbys`` are the conninfos of servers that follow it;
    ``unread`` tells by label which targets of its members led nowhere. ``kin`` are the keys of other primaries with the
    same data: clones. ``closed`` are databases that are asked for, and that the role may not enter.
    """

    member: Member
    members: tuple[Member, ...]
    probe: ProbedServer
    databases: tuple[tuple[str, str], ...]
    standbys: tuple[str, ...] = ()
    unread: Mapping[str, Failure] = field(default_factory=dict)
    kin: frozenset[str] = frozenset()
    closed: tuple[str, ...] = ()

    @property
    def node_key(self) -> str:
        """What tells its server from all others."""
        return self.probe.node_key

    @property
    def lacks_primary(self) -> bool:
        """Whether only standbys were reached, and a target that may be the primary was not, for now."""
        return self.probe.is_in_recovery and any(w.is_temporary for w in self.unread.values())

    @property
    def host(self) -> str:
        """The machine, as far as the target tells it."""
        return host_of(self.probe.target)


@dataclass(frozen=True, slots=True)
class Double:
    """A member whose cluster is visited as another member's."""

    member: Member
    same_as: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A member none of whose targets led anywhere."""

    member: Member
    failure: Failure


@dataclass(frozen=True, slots=True)
class VisitPlan:
    """Who is visited, who is visited as somebody else, and who cannot be."""

    units: tuple[Unit, ...] = ()
    doubles: tuple[Double, ...] = ()
    lost: tuple[Lost, ...] = ()


@dataclass(slots=True)
class _Node:
    """A server, and the members that lead to it, each with the target that does."""

    probe: ProbedServer
    named: list[tuple[ProbedMember, ProbedServer]] = field(default_factory=list)


def planned(found: Iterable[ProbedMember]) -> VisitPlan:
    """Return the plan for members that have been looked at; each is in it once.

    Of several names of a cluster, the first in the order of names has the visit; before those, one with a group, since without it
    the cluster would not be compared with its siblings.
    """
    members = sorted(found, key=lambda each: (not each.member.group, each.member.name))
    nodes = _nodes(members)
    units: list[Unit] = []
    doubles: list[Double] = []
    placed: set[str] = set()
    for leader, followers in _clusters(nodes):
        unit, others = _unit(leader, followers, placed)
        placed.update(one.member.name for one in others)
        if unit is not None:
            placed.add(unit.member.name)
            units.append(unit)
            doubles += others
    lost = [_lost(each) for each in members if not each.probes]
    return VisitPlan(tuple(_with_kin(units, nodes)), tuple(doubles), tuple(lost))


def _with_kin(units: Iterable[Unit], nodes: Iterable[_Node]) -> Iterator[Unit]:
    primaries: dict[str | None, set[str]] = {}
    for node in nodes:
        if not node.probe.is_in_recovery:
            primaries.setdefault(node.probe.system_identifier, set()).add(node.probe.node_key)
    for unit in units:
        kin = primaries.get(unit.probe.system_identifier, set()) - {unit.node_key}
        yield replace(unit, kin=frozenset(kin)) if kin else unit


def _nodes(members: Sequence[ProbedMember]) -> list[_Node]:
    nodes: dict[str, _Node] = {}
    for each in members:
        for probe in each.probes:
            nodes.setdefault(probe.node_key, _Node(probe)).named.append((each, probe))
    return list(nodes.values())


def _clusters(nodes: Sequence[_Node]) -> Iterator[tuple[_Node, list[_Node]]]:
    """Yield each cluster: who is read, and its standbys."""
    leaders = [node for node in nodes if not node.probe.is_in_recovery]
    followers: dict[str, list[_Node]] = {}
    for standby in (node for node in nodes if node.probe.is_in_recovery):
        leader = _followed(standby, leaders, nodes)
        if leader is None:  # its primary is not in the fleet, or not reachable
            leader = next(
                (n for n in leaders if n.probe.is_in_recovery and _is_kin(n, standby)), None
            )
        if leader is None:
            leaders.append(standby)
        else:
            followers.setdefault(leader.probe.node_key, []).append(standby)
    for leader in leaders:
        yield leader, followers.get(leader.probe.node_key, [])


def _followed(standby: _Node, leaders: Sequence[_Node], nodes: Sequence[_Node]) -> _Node | None:
    """Return the primary that a standby belongs to; of a primary and its clone, only evidence tells which."""
    kin = [n for n in leaders if not n.probe.is_in_recovery and _is_kin(n, standby)]
    ours = {each.member.name for each, _ in standby.named}
    same_member = [n for n in kin if ours & {each.member.name for each, _ in n.named}]
    if same_member:
        return same_member[0]
    sender = _sender(standby, nodes)
    while sender is not None and sender.probe.is_in_recovery and sender is not standby:
        further = _sender(sender, nodes)
        if further is None or further is sender:
            break
        sender = further
    if sender in kin:
        return sender
    return _only(kin, standby)


def _only(kin: Sequence[_Node], standby: _Node) -> _Node | None:
    """Return the only primary with this data, unless the standby follows another server that is known by its port."""
    if len(kin) != 1:
        return None
    followed, known = standby.probe.sender_port, kin[0].probe.port
    return kin[0] if followed is None or known is None or followed == known else None


def _sender(standby: _Node, nodes: Sequence[_Node]) -> _Node | None:
    host, port = standby.probe.sender_host, standby.probe.sender_port
    if host is None or port is None:
        return None
    kin = [n for n in nodes if n is not standby and _is_kin(n, standby)]
    there = [n for n in kin if (host, port) in _places(n)]
    # it may know its primary by another name or address
    there = there or [n for n in kin if n.probe.port == port]
    return there[0] if len(there) == 1 else None


def _places(node: _Node) -> set[tuple[str, int]]:
    """Return where a server is, as itself and as targets say."""
    found = {(node.probe.address or "", node.probe.port or 0)}
    for _, probe in node.named:
        parts = in_full(probe.target)
        for name in ("host", "hostaddr"):
            found.add(
                (str(parts.get(name) or ""), int(str(parts.get("port") or 5432).split(",")[0]))
            )
    return found


def _is_kin(one: _Node, other: _Node) -> bool:
    """Tell whether two servers have the same data; without an identifier, whether a member names both."""
    mine, theirs = one.probe.system_identifier, other.probe.system_identifier
    if mine is not None and theirs is not None:
        return mine == theirs
    names = {each.member.name for each, _ in one.named}
    return bool(names & {each.member.name for each, _ in other.named})


def _unit(
    leader: _Node, followers: Sequence[_Node], placed: set[str]
) -> tuple[Unit | None, list[Double]]:
    named = [(each, probe) for each, probe in leader.named if each.member.name not in placed]
    if not named:
        # all who name it are visited as another cluster: a member's targets lead to two of them
        return None, []
    (first, probe), *more = named
    doubles = [_double(each.member, first.member, "it is the same server") for each, _ in more]
    known = {first.member.name, *(each.member.name for each, _ in more)}
    standbys: list[str] = []
    for node in followers:
        standbys.append(node.named[0][1].target)
        for each, _ in node.named:
            if each.member.name not in known and each.member.name not in placed:
                known.add(each.member.name)
                doubles.append(
                    _double(each.member, first.member, "it is a standby of the same cluster")
                )
    unread = {label: why for each, _ in named for label, why in each.failures.items()}
    databases = tuple(_databases(named).items())
    members = (first.member, *(double.member for double in doubles))
    closed = tuple(sorted(_closed(named)))
    made = Unit(first.member, members, probe, databases, tuple(standbys), unread, closed=closed)
    return made, doubles


def _double(member: Member, leader: Member, what: str) -> Double:
    return Double(member, leader.name, f"{what} as {leader.name}, which is read once")


def _databases(named: Sequence[tuple[ProbedMember, ProbedServer]]) -> dict[str, str]:
    """Return the databases that members ask for, and the conninfo of each."""
    found: dict[str, str] = {}
    for each, probe in named:
        chosen = each.member.databases.chosen(probe.databases, probe.database)
        for name in sorted(chosen, key=lambda name: name != probe.database):
            is_own = name == probe.database
            target = probe.target if is_own else connect.with_database(probe.target, name)
            found.setdefault(name, target)
    return found


def _closed(named: Sequence[tuple[ProbedMember, ProbedServer]]) -> set[str]:
    """Return the databases that members ask for, and that the role may not enter: nobody may enter those of a provider."""
    return {
        name
        for each, probe in named
        if each.member.databases.take
        for name in each.member.databases.chosen(probe.closed, probe.database)
        if name not in _OF_PROVIDER or name in each.member.databases.take
    }


def why_closed(unit: Unit) -> dict[str, str]:
    """Return the databases that are asked for, and that the role of a cluster may not enter, with the mend."""
    role = unit.probe.role
    return {
        name: f"{role} may not connect to it: GRANT CONNECT ON DATABASE {ident(name)} TO {ident(role)}; or leave it out of "
        "databases in the inventory"
        for name in unit.closed
    }


def _lost(each: ProbedMember) -> Lost:
    """Tell why nothing of a member was reached; what may pass is worth another attempt."""
    found = sorted(
        each.failures.values(), key=lambda why: (not why.is_temporary, not why.was_tried)
    )
    reasons = "; ".join(dict.fromkeys(why.reason for why in found))
    first = found[0]
    was_tried = any(why.was_tried for why in found)
    lost = Failure(first.ending, reasons, first.mend, first.is_temporary, was_tried=was_tried)
    return Lost(each.member, lost)


def mixed(members: Iterable[Member]) -> list[Member]:
    """Return members in an order that has nothing to do with their names, the same each time.

    Neighbors by name are often of one place: if that is cut off, those who answer must not wait behind it.
    """
    return sorted(members, key=lambda m: hashlib.sha256(m.name.encode("utf-8", "replace")).digest())


def host_of(conninfo: str) -> str:
    """Return the host that a conninfo names, or its service."""
    parts = in_full(conninfo)
    return str(parts.get("host") or parts.get("hostaddr") or parts.get("service") or "local")


def address_of(conninfo: str) -> str:
    """Return what tells one server from another before any is asked: host and port, or service."""
    parts = in_full(conninfo)
    port = parts.get("port") or os.environ.get("PGPORT") or "5432"
    return f"{host_of(conninfo)}:{port}"


def addresses_of(members: Iterable[Member]) -> frozenset[str]:
    """Return the addresses that the targets of members name."""
    found: set[str] = set()
    for member in members:
        for target in member.targets:
            with suppress(UsageError):
                found.add(address_of(connect.resolve(target)))
    return frozenset(found)
