"""What a target is: one short connection, before anything is read.

Names are resolved by threads of their own: a resolver that hangs cannot be interrupted, and must not stop others.
"""

import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import conninfo as libpq
from psycopg.rows import dict_row

from pgwatch_wed.errors import CollectError, ConnectError, Error, UsageError, said
from pgwatch_wed.fleet import failures
from pgwatch_wed.fleet.failures import Failure
from pgwatch_wed.fleet.inventory.service_file import in_full
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.password_guard import PasswordGuard
from pgwatch_wed.fleet.password_sources import password_of
from pgwatch_wed.target import connect, door, session
from pgwatch_wed.target.queries import composed

CONNECT_S = 10
_STATEMENT_MS = 5_000
# Texts arrive as they are stored, as in a collection.
_SETTINGS = {"client_encoding": "SQL_ASCII"}


@dataclass(frozen=True, slots=True)
class ProbedServer:
    """A server as a target leads to it.

    ``system_identifier`` is None where the role may not read it. ``started_us`` is when the server was started, in
    microseconds since 1970: no two servers with the same data were started at the same one. ``databases`` are those
    that the role may enter, ``closed`` those that it may not; ``took_password``: it asked for a password, and accepted it;
    ``sender_host`` and ``sender_port`` tell whom a standby follows, if the role may see it.
    """

    target: str
    system_identifier: str | None
    version_num: int
    version: str
    is_in_recovery: bool
    started_us: int
    role: str
    reads_all_stats: bool
    database: str
    address: str | None
    port: int | None
    sender_host: str | None
    sender_port: int | None
    databases: tuple[str, ...]
    closed: tuple[str, ...] = ()
    took_password: bool = False

    @property
    def node_key(self) -> str:
        """What tells this server from all others, its clones and standbys included."""
        return f"{self.system_identifier or 'unknown'}/{self.started_us}"


@dataclass(frozen=True, slots=True)
class ProbedMember:
    """What became of each target of a member, by its label."""

    member: Member
    probes: tuple[ProbedServer, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)


def probed(
    member: Member, connect_s: int = CONNECT_S, passwords: PasswordGuard | None = None
) -> ProbedMember:
    """Look at all targets of a member, one after another; ``passwords`` keeps wrong ones from being tried again and again."""
    guard = passwords or PasswordGuard()
    found: list[ProbedServer] = []
    failed: dict[str, Failure] = {}
    for target in member.targets:
        try:
            conninfo = connect.resolve(target)
        except UsageError as error:
            failed[f"target {len(failed) + 1}"] = failures.of_usage(error)
            continue
        result = _guarded(conninfo, connect_s, guard)
        if isinstance(result, Failure):
            failed[connect.label(conninfo)] = result
        else:
            found.append(result)
    if not member.targets:
        reason = "the inventory names no target"
        failed["target"] = failures.of_usage(UsageError(reason, f"see {member.place}"))
    return ProbedMember(member, tuple(found), failed)


def _guarded(conninfo: str, connect_s: int, guard: PasswordGuard) -> ProbedServer | Failure:
    given = password_of(conninfo)
    if given is None:
        return probe(conninfo, connect_s)
    begun = guard.begin(given)
    if begun is None:
        return failures.not_tried(given.user, given.source)
    refused: bool | None = None
    try:
        result = probe(conninfo, connect_s)
        if isinstance(result, Failure):
            refused = result.refused_password
        elif result.took_password:
            refused = False
    finally:
        guard.end(given, begun, refused=refused)
    return result


def probe(conninfo: str, connect_s: int = CONNECT_S) -> ProbedServer | Failure:
    """Return what a target leads to, or why nothing."""
    try:
        return _asked(conninfo, connect_s)
    except Error as error:
        return failures.of(error, _without_waiting(conninfo, connect_s))


def _asked(conninfo: str, connect_s: int) -> ProbedServer:
    known = resolved(conninfo, connect_s)
    guards = door.Guards(connect_s=max(2, connect_s), statement_ms=_STATEMENT_MS)
    try:
        with door.opened(known, guards) as opened:
            session.prepare(opened)
            with opened.asking("fleet_probe", settings=_SETTINGS) as connection:
                cursor = connection.cursor(row_factory=dict_row)
                row = cursor.execute(composed("target", "fleet_probe")).fetchone()
                took_password = connection.pgconn.used_password
            assert row is not None
            identifier = _identifier(opened) if row.pop("may_identify") else None
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError):
            raise CollectError(f"the connection was lost: {said(error)}", "try again") from None
        raise CollectError(said(error), "is it PostgreSQL 13 or later?") from None
    open_, closed = (tuple(row.pop(key)) for key in ("databases", "closed"))
    return ProbedServer(
        target=conninfo,
        system_identifier=identifier,
        databases=open_,
        closed=closed,
        took_password=took_password,
        **row,
    )


def _identifier(opened: door.Door) -> str | None:
    try:
        with opened.asking("fleet_identity", settings=_SETTINGS) as connection:
            row = connection.execute(composed("target", "fleet_identity")).fetchone()
    except psycopg.OperationalError:
        raise
    except psycopg.Error:  # a managed service may forbid it all the same
        return None
    return str(row[0]) if row and row[0] else None


def _without_waiting(conninfo: str, connect_s: int) -> str:
    return libpq.make_conninfo(conninfo, connect_timeout=str(max(2, connect_s)))


# --- names of hosts -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Lookup:
    """A name that is being resolved: whoever asks for it meanwhile waits for the same answer."""

    done: threading.Event = field(default_factory=threading.Event)
    addresses: tuple[str, ...] = ()
    error: OSError | None = None


_lookups: dict[str, _Lookup] = {}
_lock = threading.Lock()


def resolved(conninfo: str, seconds: float) -> str:
    """Return the conninfo with addresses for the names in it.

    Raises :class:`ConnectError` for a name that is not resolved in time. libpq itself would hold up the whole process.
    """
    parts = in_full(conninfo)
    hosts = str(parts.get("host") or "").split(",")
    ports = str(parts.get("port") or "").split(",")
    if parts.get("hostaddr") or os.environ.get("PGHOSTADDR") or not all(map(_is_name, hosts)):
        return conninfo
    if len(ports) not in (1, len(hosts)):
        return conninfo  # libpq says what is wrong
    pairs = zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True)
    each = [(host, port, address) for host, port in pairs for address in _addresses(host, seconds)]
    names = {"host": "", "port": "", "hostaddr": ""}
    for place, name in enumerate(("host", "port", "hostaddr")):
        names[name] = ",".join(one[place] for one in each)
    return libpq.make_conninfo(conninfo, **{n: v for n, v in names.items() if v.strip(",")})


def _is_name(host: str) -> bool:
    return bool(host) and not host.startswith(("/", "@"))


def _addresses(host: str, seconds: float) -> tuple[str, ...]:
    lookup = _begun(host)
    if not lookup.done.wait(seconds):
        raise ConnectError(
            f"the host name {host} was not resolved within {seconds:.0f} s",
            "check the name and the resolver of this machine",
        )
    if lookup.error is not None:
        raise ConnectError(
            f"could not translate host name {host}: {lookup.error.strerror or lookup.error}",
            "check the host name",
        )
    return lookup.addresses


def _begun(host: str) -> _Lookup:
    with _lock:
        lookup = _lookups.get(host)
        if lookup is None:
            lookup = _lookups[host] = _Lookup()
            threading.Thread(target=_look_up, args=(host, lookup), daemon=True).start()
    return lookup


def _look_up(host: str, lookup: _Lookup) -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        lookup.addresses = tuple(dict.fromkeys(str(each[4][0]) for each in found))
    except (OSError, UnicodeError) as error:
        lookup.error = error if isinstance(error, OSError) else OSError(str(error))
    finally:
        with _lock:
            _lookups.pop(host, None)
        lookup.done.set()
