"""Why load must not run on a server, and which of these reasons its owner may wave aside, each by its name."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from pgwatch_wed import units
from pgwatch_wed.errors import CollectError, UsageError, said
from pgwatch_wed.load.ground.server_answer import GroundServer, ServerAnswer, load_sql
from pgwatch_wed.target import door

EVEN_IF = ("busy", "replicated", "archived")
WATCHED_S = 10.0
_STEP_S = 1.0
# What autovacuum may have done meanwhile: its workers' transactions are counted like those of clients.
_OF_AUTOVACUUM, _OF_AUTOVACUUM_IN_EACH = 10, 2


@dataclass(frozen=True, slots=True)
class OthersTraffic:
    """A row of ``ground_traffic.sql``; ``connected`` is None before PostgreSQL 14."""

    transactions: int
    connected: int | None
    databases: int
    active: int
    hidden: int


@dataclass(frozen=True, slots=True)
class LoadRefusal:
    """A reason; ``name`` is what ``--even-if`` takes, "" if nothing helps."""

    name: str
    text: str
    hint: str


def check_names(even_if: frozenset[str]) -> None:
    """Raise :class:`UsageError` at a name that ``--even-if`` does not know."""
    if unknown := sorted(even_if - set(EVEN_IF)):
        raise UsageError(f"--even-if does not know {unknown[0]}", f"it takes {', '.join(EVEN_IF)}")


def refuse(refusals: Iterator[LoadRefusal], even_if: frozenset[str]) -> tuple[str, ...]:
    """Raise :class:`UsageError` at the first refusal that is not waved aside; return the others as notes."""
    notes = []
    for each in refusals:
        if each.name not in even_if:
            named = f"; or, knowing that, --even-if {each.name}" if each.name else ""
            raise UsageError(f"load is refused: {each.text}", each.hint + named)
        notes.append(each.text)
    return tuple(notes)


def unconfirmed(answer: ServerAnswer, owned: str) -> Iterator[LoadRefusal]:
    """Yield a refusal unless the owner has spelled the server as it answers."""
    if owned.strip() == answer.shown:
        return
    server = answer.server
    given = f", not {owned.strip()}" if owned.strip() else ""
    yield LoadRefusal(
        "",
        f"the server answers {answer.shown}{given}",
        f"if it is yours and may suffer (database {server.database!r}, up since"
        f" {time.strftime('%Y-%m-%d %H:%M', time.gmtime(server.started))} UTC):"
        f" --i-own-this-server {_quoted(answer.shown)}",
    )


def _quoted(text: str) -> str:
    return (
        "'" + text.replace("'", "'\\''") + "'" if set(text) & set(" '\"$`\\&;|<>()*?!#~") else text
    )


def by_state(server: GroundServer, *, writing: bool) -> Iterator[LoadRefusal]:
    """Yield why a server is not one for load, by what it is."""
    if server.is_standby:
        yield LoadRefusal("", "the server is a standby", "specify a primary, or promote a copy")
    if server.receivers or server.slots:
        yield LoadRefusal(
            "replicated",
            f"there are {units.count(server.receivers, 'attached replica or backup', 'attached replicas or backups')}"
            f" and {units.count(server.slots, 'replication slot')}: what load writes is sent to or kept for them",
            "use a copy without replicas",
        )
    if server.is_archiving and writing:
        yield LoadRefusal(
            "archived",
            "the server archives WAL, and the scenario writes: the archive keeps all of it",
            "use a copy with archive_mode = off",
        )


def by_traffic(target: door.Door, seconds: float = WATCHED_S) -> Iterator[LoadRefusal]:
    """Watch a server and yield a refusal as soon as somebody else uses it."""
    try:
        before = now = _traffic(target)
        found = busy(before, before, 0)
        asked, until = 1, time.monotonic() + seconds
        while found is None and (left := until - time.monotonic()) > 0:
            time.sleep(min(_STEP_S, left))
            now = _traffic(target)
            found = busy(before, now, asked)
            asked += 1
    except psycopg.Error as error:
        raise CollectError(f"the server's activity could not be read: {said(error)}") from None
    if found := found or _unseen(now):
        yield found


def _unseen(now: OthersTraffic) -> LoadRefusal | None:
    """Return a refusal for sessions that may be in a long transaction: the counters only show those that ended."""
    if now.hidden <= 0:
        return None
    text = f"what {units.count(now.hidden, 'session')} of others may be doing cannot be seen"
    return LoadRefusal("busy", text, "grant pg_read_all_stats to the role, or use a copy")


def busy(before: OthersTraffic, now: OthersTraffic, ours: int) -> LoadRefusal | None:
    """Return a refusal if others have used a server between two moments, in which we began ``ours`` transactions."""
    allowance = _OF_AUTOVACUUM + _OF_AUTOVACUUM_IN_EACH * now.databases
    transactions = now.transactions - before.transactions - ours
    arrived = (now.connected or 0) - (before.connected or 0) - 1  # one is ours
    if now.active > 0:
        text = f"{now.active} sessions of others have been active in the last 10 s"
    elif arrived > 0:
        text = f"{arrived} sessions of others have begun just now"
    elif transactions > allowance:
        text = f"others have run about {transactions} transactions just now"
    else:
        return None
    return LoadRefusal("busy", text, "stop them, or use a copy")


def _traffic(target: door.Door) -> OthersTraffic:
    with target.asking("load") as connection:
        row = (
            connection.cursor(row_factory=class_row(OthersTraffic))
            .execute(load_sql("ground_traffic"))
            .fetchone()
        )
    assert row is not None
    return row
