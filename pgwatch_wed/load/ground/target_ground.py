"""Load on a server that is somebody's: only if its owner says so, and only in what is created for it.

A session of ours on the target's own database is open all the time, the keeper. It holds the advisory lock by which
the next start tells what is left over from what is in use, and it drops what was created.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.errors import CollectError, ConnectError, UsageError, said
from pgwatch_wed.load.ground import ground_refusals as refusals
from pgwatch_wed.load.ground import server_answer, stress_objects
from pgwatch_wed.load.ground.ground_connection import STRESS_NAME, connected, writing_session
from pgwatch_wed.load.ground.server_answer import GroundServer, ServerAnswer, load_sql
from pgwatch_wed.load.ground.server_environment import without_chosen_server
from pgwatch_wed.load.ground.stress_mark import lock_of, new_name, run_of
from pgwatch_wed.load.ground.stress_objects import StressObject, WritingSession
from pgwatch_wed.load.load_model import Ground
from pgwatch_wed.load.proof.proof_leftovers import undone_leftovers
from pgwatch_wed.target import door
from pgwatch_wed.target.connect import resolve

TEMP_FILE_LIMIT = "1GB"  # of each session
_ONE_SCHEMA_LOCK = 7_203_441_865_232  # an arbitrary number of our own


@dataclass(slots=True)
class TargetGround:
    """A ground on somebody's server; ``left``: what could not be dropped at the end, for people."""

    ground: Ground
    left: list[str] = field(default_factory=list)


@contextmanager
def target_ground(
    target: str,
    owned: str,
    even_if: frozenset[str] = frozenset(),
    *,
    writing: bool = True,
    watched_s: float = refusals.WATCHED_S,
    needs_database: bool = False,
) -> Iterator[TargetGround]:
    """Create a database of our own on a server, or a schema if we may not, and drop it afterwards.

    ``owned`` is what ``--i-own-this-server`` says, ``even_if`` the refusals that are waved aside, and with
    ``needs_database`` a schema will not do. Raises
    :class:`UsageError` if load is refused, :class:`ConnectError` if there is no connection.
    """
    with without_chosen_server(keep_harmless=True):
        answer, notes = allowed(
            target,
            owned,
            even_if,
            writing=writing,
            watched_s=watched_s,
            needs_database=needs_database,
        )
        with _created(answer, notes) as ground:
            yield ground


def named(target: str) -> str:
    """Return the conninfo of a target that itself says which server and database it means."""
    if not target.strip():
        raise UsageError("no TARGET", "load runs on the embedded server then")
    conninfo = resolve(target)
    given = conninfo_to_dict(conninfo)
    if "service" in given:
        return conninfo
    if not given.get("host") and not given.get("hostaddr"):
        raise UsageError(
            "TARGET names no server, and the environment's does not count for load", "add host=…"
        )
    if not given.get("dbname"):
        raise UsageError("TARGET names no database", "add dbname=…")
    return make_conninfo("port=5432", **given) if "port" not in given else conninfo


def allowed(
    target: str,
    owned: str,
    even_if: frozenset[str],
    *,
    writing: bool,
    watched_s: float = refusals.WATCHED_S,
    needs_database: bool = False,
) -> tuple[ServerAnswer, tuple[str, ...]]:
    """Return what a server answers on which load may run, and notes; raises :class:`UsageError` if it may not."""
    refusals.check_names(even_if)
    conninfo = named(target)
    with door.opened(conninfo) as opened:
        answer = server_answer.asked(opened)
        refusals.refuse(refusals.unconfirmed(answer, owned), frozenset())
        notes = refusals.refuse(refusals.by_state(answer.server, writing=writing), even_if)
        if needs_database:
            _check_may_create_database(answer.server)
        notes += refusals.refuse(refusals.by_traffic(opened, watched_s), even_if)
    return answer, notes


def check_may_create(server: GroundServer) -> None:
    """Raise :class:`UsageError` if a role can create nothing in which load could run."""
    if not (server.may_create_database or server.may_create_schema):
        raise UsageError(
            f"the role {server.role} may create neither databases nor schemas here",
            "ALTER ROLE … CREATEDB, or GRANT CREATE ON DATABASE … TO it",
        )


def _check_may_create_database(server: GroundServer) -> None:
    """Refuse scenarios, which create schemas that nobody would drop from somebody's database."""
    if not server.may_create_database:
        raise UsageError(
            f"the role {server.role} may not create databases, and scenarios need one of their own",
            "ALTER ROLE … CREATEDB; or run scripts of your own with --scripts, which need only a schema",
        )


@contextmanager
def _created(answer: ServerAnswer, notes: tuple[str, ...]) -> Iterator[TargetGround]:
    name = new_name()
    run = run_of(name)
    with _session_of_ours(answer.conninfo) as keeper:
        with _explained():
            _keep(keeper, run)
            notes += stress_objects.drop_leftovers(keeper, lambda name: _is_empty(answer, name))
            notes += undone_leftovers(answer.conninfo)
        made = TargetGround(_ground(answer, name))
        try:
            with _explained():
                kind = _make(keeper, answer, name, run)
            place = (
                _ground(answer, name)
                if kind is StressObject.DATABASE
                else _schema_ground(answer, name)
            )
            made.ground = replace(place, notes=notes + _furnished(place, kind))
            yield made
        finally:
            made.left += _removed(keeper, answer, name)


@contextmanager
def _session_of_ours(conninfo: str) -> Iterator[WritingSession]:
    """Yield a session on the target's own database, in which nothing stands in the place of PostgreSQL's objects."""
    with writing_session(conninfo) as session:
        with _explained():
            session.execute("set search_path = pg_catalog, pg_temp")
            session.commit()
        yield session


def _is_empty(answer: ServerAnswer, name: str) -> bool:
    """Tell whether nobody has created anything in a database."""
    with (
        suppress(ConnectError, CollectError, psycopg.Error),
        _session_of_ours(make_conninfo(answer.conninfo, dbname=name)) as session,
    ):
        return session.execute(load_sql("ground_newer_objects")).fetchone() == (False,)
    return False


def _keep(keeper: WritingSession, run: str) -> None:
    """Hold the lock of a run, in a session that no time limit of the role ends."""
    keeper.execute(
        "select pg_catalog.set_config(s.name, '0', false) from pg_catalog.pg_settings s where s.name"
        " in ('idle_session_timeout', 'statement_timeout', 'transaction_timeout', 'lock_timeout')"
    )
    keeper.execute("select pg_catalog.pg_advisory_lock(%s::bigint)", [lock_of(run)])


def _make(keeper: WritingSession, answer: ServerAnswer, name: str, run: str) -> StressObject:
    if answer.server.may_create_database:
        stress_objects.create(keeper, StressObject.DATABASE, name, run)
        return StressObject.DATABASE
    check_may_create(answer.server)
    # at the end, all sessions of load in this database are ended: so let there be one run
    row = keeper.execute(
        "select pg_catalog.pg_try_advisory_lock(%s::bigint)", [_ONE_SCHEMA_LOCK]
    ).fetchone()
    if row != (True,):
        raise CollectError(
            "another load test is running in this database", "wait until it has finished"
        )
    stress_objects.create(keeper, StressObject.SCHEMA, name, run)
    return StressObject.SCHEMA


def _ground(answer: ServerAnswer, name: str) -> Ground:
    return Ground(
        conninfo=make_conninfo(answer.conninfo, dbname=name),
        shown=answer.shown,
        database=name,
        server_version=answer.version,
        is_embedded=False,
        data_directory=server_answer.visible_directory(answer.server),
    )


def _schema_ground(answer: ServerAnswer, name: str) -> Ground:
    options = str(conninfo_to_dict(answer.conninfo).get("options") or "")
    conninfo = make_conninfo(answer.conninfo, options=f"{options} -c search_path={name}".strip())
    return replace(
        _ground(answer, name), conninfo=conninfo, database=answer.server.database, schema=name
    )


def _furnished(ground: Ground, kind: StressObject) -> tuple[str, ...]:
    """Limit temporary files and count statements where we may; return what we may not."""
    if kind is StressObject.SCHEMA:
        text = f"the role may not create databases: load runs in a schema of {ground.database}"
        return (f"{text}, whose counters others share; temporary files are not limited",)
    notes = []
    with connected(ground) as session:
        try:
            session.execute("create extension if not exists pg_stat_statements")
            session.execute("select 1 from pg_stat_statements limit 1")
        except psycopg.Error as error:
            notes.append(f"statements are not counted: {said(error)}")
        _with_wait_sampling(session)
        try:
            session.execute(
                sql.SQL("alter database {} set temp_file_limit = {}").format(
                    sql.Identifier(ground.database), TEMP_FILE_LIMIT
                )
            )
        except psycopg.Error as error:
            notes.append(f"temporary files are not limited: {said(error)}")
    return tuple(notes)


def _with_wait_sampling(session: WritingSession) -> None:
    """Let its profile be read here where the server keeps one; without it, our own samples do."""
    query = "select current_setting('pg_wait_sampling.profile_period', true) is not null"
    if session.execute(query).fetchone() == (True,):
        with suppress(psycopg.Error):
            session.execute("create extension if not exists pg_wait_sampling")


def _removed(keeper: WritingSession, answer: ServerAnswer, name: str) -> list[str]:
    """Drop what this run created, over a new connection if the keeper's broke; return what is left."""
    if not keeper.broken and not keeper.closed:
        return _remove(keeper, name)
    with suppress(ConnectError), _session_of_ours(answer.conninfo) as other:
        return _remove(other, name)
    return [f"{name} could not be dropped, since the server does not answer: the next run drops it"]


def _remove(session: WritingSession, name: str) -> list[str]:
    try:
        session.rollback()
        ours = [each for each in stress_objects.found(session) if each.name == name]
        for each in ours:
            if each.kind is StressObject.SCHEMA:
                stress_objects.end_sessions(session, STRESS_NAME)
        return [
            f"{each.kind} {name} was not dropped: {reason}"
            for each in ours
            if (reason := _dropped(session, each))
        ]
    except psycopg.Error as error:
        return [f"{name} was not dropped: {said(error)}"]


def _dropped(session: WritingSession, one: stress_objects.NamedLikeOurs) -> str:
    if one.mark is None:
        return "it does not bear our mark"
    return stress_objects.dropped(session, one)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the server's errors into ours."""
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise CollectError(f"the server's disk is full: {said(error)}", "free some space") from None
    except psycopg.Error as error:
        raise CollectError(f"nothing could be created for load: {said(error)}") from None
