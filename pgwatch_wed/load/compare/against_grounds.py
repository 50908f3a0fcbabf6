"""Opens what is compared in interleaved blocks: two servers alike but for settings, or two of the user's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import CollectError, EmbeddedError, UsageError, redact, said
from pgwatch_wed.load.compare.against import AgainstGrounds, AgainstServer, AgainstSettings
from pgwatch_wed.load.ground import server_answer
from pgwatch_wed.load.ground.embedded_ground import embedded_ground
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.ground.ground_refusals import WATCHED_S
from pgwatch_wed.load.ground.server_environment import without_chosen_server
from pgwatch_wed.load.ground.target_ground import allowed, check_may_create, target_ground
from pgwatch_wed.load.load_model import Ground
from pgwatch_wed.target import door
from pgwatch_wed.target.connect import resolve

_OTHER_MACHINE = (
    "Times were not compared: whether both servers run on one machine is not known, and identical"
    " servers on two machines differ by more than changes do."
)
_FIXED = frozenset({"fsync"})  # what a load test needs, see ground.embedded_ground

_Opening = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]


@contextmanager
def against_grounds(
    against: AgainstSettings | AgainstServer,
    target: str | None,
    *,
    owned: Sequence[str] = (),
    even_if: frozenset[str] = frozenset(),
    writing: bool = True,
    watched_s: float = WATCHED_S,
    needs_database: bool = False,
) -> Iterator[AgainstGrounds]:
    """Open both sides with fresh databases; ``target`` is None for the embedded server.

    ``owned``: what ``--i-own-this-server`` says, of each server of the user's. ``needs_database``: a schema will not do.
    """
    with ExitStack() as opened:
        if target is None and isinstance(against, AgainstSettings):
            current = opened.enter_context(embedded_ground()).ground
            _check_names(current, against.settings)
            try:
                base = opened.enter_context(embedded_ground(against.settings)).ground
            except EmbeddedError as error:
                text = f"an embedded server does not start with {against.shown}: {said(error)}"
                raise UsageError(text) from None
            yield AgainstGrounds(base=base, current=current, label=against.shown)
            return
        if target is None:
            raise _no_target()

        def ground(place: str) -> Ground:
            found = target_ground(
                place,
                owned_name(place, owned),
                even_if,
                writing=writing,
                watched_s=watched_s,
                needs_database=needs_database,
            )
            return opened.enter_context(found).ground

        current = ground(target)
        if isinstance(against, AgainstServer):
            base = ground(against.target)
            yield AgainstGrounds(
                base=base,
                current=current,
                label=f"{redact(base.shown)}, PostgreSQL {_version(base)}",
                no_times="" if _is_one_machine(base, current) else _OTHER_MACHINE,
            )
            return
        _check_session_settings(partial(connected, current), against.settings)
        yield AgainstGrounds(
            base=current, current=current, label=against.shown, settings=against.settings
        )


def check_against(
    against: AgainstSettings | AgainstServer,
    target: str | None,
    *,
    owned: Sequence[str] = (),
    even_if: frozenset[str] = frozenset(),
    writing: bool = True,
    needs_database: bool = False,
) -> None:
    """Raise what opening both sides would raise; on somebody's server, only ask."""
    if target is None:
        if isinstance(against, AgainstServer):
            raise _no_target()
        with against_grounds(against, None):  # only a server that starts shows that it does
            return
    places = (target, against.target) if isinstance(against, AgainstServer) else (target,)
    for place in places:
        name = owned_name(place, owned)
        with without_chosen_server(keep_harmless=True):
            answer, _ = allowed(
                place,
                name,
                even_if,
                writing=writing,
                watched_s=0.0,
                needs_database=needs_database,
            )
        check_may_create(answer.server)
        if isinstance(against, AgainstSettings):
            _check_session_settings(partial(door.asking, answer.conninfo, "load"), against.settings)


def _no_target() -> UsageError:
    return UsageError(
        "the embedded server cannot be compared with another server",
        "give a TARGET, or settings to --against",
    )


def owned_name(place: str, owned: Sequence[str]) -> str:
    """Return which of several servers that are owned this one is, by what it answers."""
    given = [each.strip() for each in owned]
    if len(given) < 2:
        return given[0] if given else ""
    with door.opened(resolve(place)) as target:
        shown = server_answer.asked(target).shown
    return shown if shown in given else given[0]


def _check_names(ground: Ground, settings: Mapping[str, str]) -> None:
    known = _contexts(partial(connected, ground), settings)
    for name in settings:
        if name.lower() in _FIXED:
            raise UsageError(f"the setting {name} is not compared: load runs with fsync")
        if name.lower() not in known and "." not in name:
            raise UsageError(f"there is no setting {name}")
        if known.get(name.lower()) == "internal":
            raise UsageError(f"the setting {name} cannot be changed")
    _check_values(ground, settings)


@contextmanager
def _asked(opening: _Opening) -> Iterator[psycopg.Connection[Any]]:
    """Yield a session; a server that fails meanwhile is one line."""
    try:
        with opening() as session:
            yield session
    except psycopg.Error as error:
        raise CollectError(f"the server of the load test failed: {said(error)}") from None


def _check_values(ground: Ground, settings: Mapping[str, str]) -> None:
    """Let a server of ours check the values; it is not told to read them."""
    with _asked(partial(connected, ground)) as session:
        for name, value in settings.items():
            setting = sql.Identifier(*name.lower().split("."))
            try:
                session.execute(
                    sql.SQL("alter system set {} = {}").format(setting, sql.Literal(value))
                )
                session.execute(sql.SQL("alter system reset {}").format(setting))
            except psycopg.Error as error:
                raise UsageError(f"the setting {name} cannot be {value!r}: {said(error)}") from None


def _check_session_settings(opening: _Opening, settings: Mapping[str, str]) -> None:
    """Raise :class:`UsageError` for what sessions of ours cannot set on somebody's server."""
    known = _contexts(opening, settings)
    for name, value in settings.items():
        if known.get(name.lower()) not in ("user", "superuser") and "." not in name:
            text = "is not known there" if name.lower() not in known else "is one of the server"
            raise UsageError(
                f"the setting {name} {text}, which this run does not change",
                "compare with a second server that has it, or with the embedded server",
            )
        try:
            with opening() as session:
                session.execute("select pg_catalog.set_config(%s, %s, false)", [name, value])
        except psycopg.Error as error:
            message = error.diag.message_primary or "refused"
            raise UsageError(f"the setting {name} cannot be {value!r}: {message}") from None


def _contexts(opening: _Opening, settings: Mapping[str, str]) -> dict[str, str]:
    names = [name.lower() for name in settings]
    with _asked(opening) as session:
        found = session.execute(
            "select lower(name), context from pg_catalog.pg_settings where lower(name) = any (%s)",
            [names],
        ).fetchall()
    return dict(found)


def _version(ground: Ground) -> str:
    with connected(ground) as session:
        return session.info.parameter_status("server_version") or str(ground.server_version)


def _is_one_machine(base: Ground, current: Ground) -> bool:
    if base.data_directory is not None and current.data_directory is not None:
        return True
    addresses = [_address(ground) for ground in (base, current)]
    return addresses[0] is not None and addresses[0] == addresses[1]


def _address(ground: Ground) -> str | None:
    """Return the server's address on its network; None for a loopback address, which every machine has."""
    with _asked(partial(connected, ground)) as session:
        row: tuple[Any, ...] | None = session.execute(
            "select host(a) from (select pg_catalog.inet_server_addr() as a) s"
            " where not a <<= '127.0.0.0/8' and a <> '::1'"
        ).fetchone()
    return row[0] if row else None
