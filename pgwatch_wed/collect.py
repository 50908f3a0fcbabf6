"""Connection → Snapshot: state facts, judge nothing, wait for nobody.

Everything happens in one read-only transaction of one connection, so that it also works behind a
pooler in transaction mode. Every query has a savepoint, a deadline and a short lock timeout. What
cannot be read is missing with a reason; what no server should answer is a bug and is raised.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from functools import cache
from typing import Any, get_args, get_origin

import psycopg
from psycopg.types.string import TextLoader

from pgwatch_wed import __version__, connect, queries, statement_text
from pgwatch_wed.capabilities import PGSS, Capabilities, grant_stats, why_missing
from pgwatch_wed.errors import CollectError
from pgwatch_wed.facts import Missing, QueryCost, Server, Session, Snapshot, Statement
from pgwatch_wed.snapshot_file import fact_types, field_types

Connection = psycopg.Connection[tuple[Any, ...]]
Progress = Callable[[str, float], None]
"""Called with what is being read, and how much of the work is done (0…1)."""

# Moving targets first: what blocks whom is soon over, catalogs stay.
ORDER = (
    *("sessions", "lock_waits", "relation_locks", "lock_table", "vacuums", "index_builds"),
    *("prepared_transactions", "replicas", "slots", "recovery"),
    *("databases", "checkpoints", "wal", "io", "slru", "archiver"),
    *("settings", "role_settings", "file_settings", "roles"),
    *("tables", "table_activity", "indexes", "index_usage", "constraints", "columns"),
    *("column_statistics", "extended_statistics", "sequences", "publications", "subscriptions"),
    *("collation_versions", "statements_info", "statements", "index_definitions"),
)
CLUSTER_FACTS = frozenset(
    (
        *("sessions", "lock_table", "prepared_transactions", "replicas", "slots", "recovery"),
        *("databases", "checkpoints", "wal", "io", "slru", "archiver", "settings"),
        *("role_settings", "file_settings", "roles", "vacuums"),
    )
)

# Facts that take more than reading catalogs; see enrichment.py. Until somebody asked, they are absent.
DERIVED: Mapping[str, Missing] = {
    "missing_indexes": Missing(
        "the index advisor did not run", "db-analyze indexes TARGET, or run without --no-advise"
    ),
    "index_drop_trials": Missing("the index advisor did not run", "run without --no-advise"),
    "statement_plans": Missing("no statement was planned", "run against the server itself"),
    "exact_bloat": Missing("bloat was not measured", "--exact-bloat measures it"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much to read at the most; what is left out is said in the snapshot."""

    max_relations: int = 20_000
    max_indexes: int = 120_000
    max_columns: int = 400_000
    max_constraints: int = 100_000
    max_statements: int = 5_000
    max_texts: int = 500
    max_text_chars: int = 10_000
    statement_ms: int = 30_000
    lock_ms: int = 100


@dataclass(slots=True)
class Run:
    """The state of one collection: its clock, and what it has cost so far."""

    limits: Limits
    deadline: float | None
    progress: Progress
    costs: list[QueryCost] = field(default_factory=list)

    def remaining_ms(self) -> int | None:
        """Return what is left of the budget, or None without one."""
        if self.deadline is None:
            return None
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class LenientText(TextLoader):
    """Load text that may hold another database's bytes; a bad byte must not cost the row."""

    def load(self, data: Any) -> str:
        """Decode as UTF-8, with U+FFFD for what is not."""
        return bytes(data).decode("utf-8", "replace")


def collect(
    conninfo: str,
    *,
    limits: Limits | None = None,
    budget_s: float | None = None,
    progress: Progress = lambda _what, _share: None,
    only: Iterable[str] | None = None,
    cluster: Snapshot | None = None,
) -> Snapshot:
    """Read a target.

    ``only`` names the facts wanted (default all); ``cluster`` is a snapshot of another database of
    the same server whose server-wide facts are taken over. Raises ConnectError, or CollectError
    when not even the server's version can be read.
    """
    deadline = None if budget_s is None else time.monotonic() + budget_s
    run = Run(limits or Limits(), deadline, progress)
    connection = connect.connect(conninfo)
    try:
        prepare(connection)
        with guarded(connection, run):
            return _collect(connection, run, only, cluster)
    except psycopg.OperationalError as error:
        raise CollectError(
            f"the connection broke before anything was read: {_said(error)}",
            "check that the server is up, and try again",
        ) from None
    except psycopg.errors.FeatureNotSupported as error:
        raise CollectError(
            f"cannot open a transaction here: {_said(error)}",
            "a pooler in statement mode will not do; connect to the server itself",
        ) from None
    finally:
        connection.close()


def prepare(connection: Connection) -> None:
    """Make a connection read text whatever its bytes are."""
    for name in ("text", "varchar", "name", "bpchar", '"char"'):
        connection.adapters.register_loader(name, LenientText)


@contextmanager
def guarded(connection: Connection, run: Run) -> Iterator[None]:
    """Open the read-only transaction whose settings end with it, on whatever pooler."""
    guards = connect.Guards(lock_ms=run.limits.lock_ms, statement_ms=run.limits.statement_ms)
    connection.execute("begin isolation level read committed, read only")
    try:
        connect.guard(connection, guards)
        yield
    finally:
        if not connection.closed:
            connection.rollback()


def _collect(
    connection: Connection, run: Run, only: Iterable[str] | None, cluster: Snapshot | None
) -> Snapshot:
    server = _server(connection, run)
    extensions = _try(connection, run, "extensions", server, {})
    missing: dict[str, Missing] = dict(DERIVED)
    found: dict[str, Any] = {}
    if isinstance(extensions, Missing):
        missing["extensions"] = extensions
        extensions = ()
    capabilities = Capabilities.of(server, extensions)
    _statistics_consistency(connection, capabilities)
    wanted = set(ORDER if only is None else only)
    names = [name for name in ORDER if name in wanted]
    for place, name in enumerate(names):
        run.progress(name.replace("_", " "), place / len(names))
        if cluster is not None and name in CLUSTER_FACTS:
            rows: tuple[Any, ...] | Missing = cluster.missing.get(name) or getattr(cluster, name)
        elif connection.broken or connection.closed:
            rows = Missing("the connection broke during the run", "run again")
        else:
            rows = _fact(connection, run, name, capabilities)
        if isinstance(rows, Missing):
            missing[name] = rows
        else:
            found[name] = rows
    run.progress("done", 1.0)
    snapshot = Snapshot(
        tool_version=__version__,
        server=server,
        missing=missing,
        extensions=extensions,
        query_costs=tuple(run.costs),
        **found,
    )
    return _tidy(snapshot, capabilities, run.limits)


def _server(connection: Connection, run: Run) -> Server:
    rows = _try(connection, run, "server", None, {})
    if isinstance(rows, Missing):
        raise CollectError(f"cannot read the server's version: {rows.reason}", rows.mend)
    server: Server = rows[0]
    identity = _try(connection, run, "system", server, {})
    if not isinstance(identity, Missing) and identity:
        system_identifier, timeline = identity[0]
        server = replace(server, system_identifier=system_identifier, timeline=timeline)
    birth = _try(connection, run, "birth", server, {})
    if not isinstance(birth, Missing) and birth:
        server = replace(server, database_created_at=birth[0][0])
    return server


def _statistics_consistency(connection: Connection, capabilities: Capabilities) -> None:
    """Ask for counters of one moment (15+), unless the copy would cost the backend its memory."""
    if capabilities.server.major < 15:
        return
    row = connection.execute(
        "select reltuples from pg_class where oid = 'pg_class'::regclass"
    ).fetchone()
    mode = "snapshot" if row and row[0] < 100_000 else "none"
    connection.execute("select set_config('stats_fetch_consistency', %s, true)", [mode])


def _fact(
    connection: Connection, run: Run, name: str, capabilities: Capabilities
) -> tuple[Any, ...] | Missing:
    remaining = run.remaining_ms()
    if remaining is not None and remaining < 10:
        return Missing("the time budget was used up", "give more with --budget SECONDS")
    server = capabilities.server
    query = queries.choose(name, server.major, capabilities.extension_versions)
    if query is None:
        return _no_query(name, capabilities)
    values = (
        {"extschema": capabilities.schema_of(query.of)} if query.of not in ("", "server") else {}
    )
    rows = _try(connection, run, name, server, values, query)
    if isinstance(rows, Missing) and "cache lookup failed" in rows.reason:
        return _try(connection, run, name, server, values, query)  # an object vanished meanwhile
    return rows


def _no_query(name: str, capabilities: Capabilities) -> Missing:
    extension = queries.extension_of(name)
    if extension is None:
        return Missing(f"it comes with {queries.needs(name)}")
    if extension not in capabilities.extension_versions:
        return Missing(
            f"the extension {extension} is not installed in this database",
            f"CREATE EXTENSION {extension}; (and {extension} in shared_preload_libraries)",
        )
    return Missing(
        f"{extension} {capabilities.extension_versions[extension]} is too old; it comes with "
        f"{queries.needs(name)}",
        f"ALTER EXTENSION {extension} UPDATE;",
    )


def _try(
    connection: Connection,
    run: Run,
    name: str,
    server: Server | None,
    values: Mapping[str, str],
    query: queries.Query | None = None,
) -> tuple[Any, ...] | Missing:
    query = query or queries.choose(name, server.major if server else 99, {})
    assert query is not None
    sql = query.render({**_limit_values(run.limits), **values})
    begun = time.monotonic()
    rows: tuple[Any, ...] = ()
    try:
        with connection.transaction():
            _deadline(connection, run)
            rows = tuple(_rows(connection, sql, name))
    except psycopg.Error as error:
        if server is None:
            raise
        reason = _broken(connection, error) or why_missing(error, name, server)
        if reason is None:
            raise
        return reason
    finally:
        run.costs.append(QueryCost(name, len(rows), round(time.monotonic() - begun, 6)))
    return rows


def _broken(connection: Connection, error: psycopg.Error) -> Missing | None:
    if connection.broken or connection.closed:
        return Missing(f"the connection broke: {_said(error)}", "run again")
    return None


def _deadline(connection: Connection, run: Run) -> None:
    remaining = run.remaining_ms()
    if remaining is not None and remaining < run.limits.statement_ms:
        connection.execute(
            "select set_config('statement_timeout', %s, true)", [f"{max(remaining, 10)}ms"]
        )


def _limit_values(limits: Limits) -> dict[str, str]:
    return {
        f.name: str(getattr(limits, f.name))
        for f in dataclass_fields(limits)
        if f.name.startswith("max_")
    }


def _rows(connection: Connection, sql: str, name: str) -> Iterator[Any]:
    cursor = connection.cursor()
    kind = _row_type(name)
    build: Callable[[tuple[Any, ...]], Any] | None = None
    for row in cursor.stream(sql.encode(), size=1000):
        if build is None:
            build = _builder(kind, tuple(c.name for c in cursor.description or ()))
        yield build(row)


def _row_type(name: str) -> type | None:
    return Server if name == "server" else fact_types().get(name)


def _builder(kind: type | None, names: tuple[str, ...]) -> Callable[[tuple[Any, ...]], Any]:
    if kind is None:
        return lambda row: row
    arrays, floats, order = _plan(kind, names)

    def build(row: tuple[Any, ...]) -> Any:
        values = [row[i] for i in order]
        for i in arrays:
            values[i] = tuple(values[i] or ())
        for i in floats:
            if values[i] is not None:
                values[i] = float(values[i])
        return kind(*values)

    return build


@cache
def _plan(
    kind: type, names: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    types = field_types(kind)
    if set(names) != set(types):
        odd = sorted(set(names) ^ set(types))
        raise CollectError(f"the query and {kind.__name__} disagree about {', '.join(odd)}")
    order = tuple(names.index(n) for n in types)
    arrays = tuple(i for i, t in enumerate(types.values()) if get_origin(t) is tuple)
    floats = tuple(i for i, t in enumerate(types.values()) if t is float or float in get_args(t))
    return arrays, floats, order


def _said(error: psycopg.Error) -> str:
    return connect.redact(" ".join((error.diag.message_primary or str(error)).split()))


# --- what is put right before it is kept ----------------------------------------------------------


def _tidy(snapshot: Snapshot, capabilities: Capabilities, limits: Limits) -> Snapshot:
    missing = dict(snapshot.missing)
    _say_what_is_hidden(snapshot, capabilities, missing)
    _say_what_is_left_out(snapshot, limits, missing)
    return replace(
        snapshot,
        missing=missing,
        sessions=tuple(_without_values(s) for s in snapshot.sessions if not _is_ours(s)),
        statements=tuple(_shortened(s, limits) for s in snapshot.statements),
    )


def _is_ours(session: Session) -> bool:
    return session.application_name == connect.APPLICATION_NAME


def _without_values(session: Session) -> Session:
    if session.query is None:
        return session
    return replace(session, query=statement_text.normalise(session.query)[:2000])


def _shortened(statement: Statement, limits: Limits) -> Statement:
    """Keep texts of a readable length; utility statements before 16 still carry their literals."""
    text = statement.text
    if text is None or text == "<insufficient privilege>":
        return replace(statement, text=None)
    if statement_text.is_utility(text):
        text = statement_text.normalise(text)
    return replace(statement, text=text[: limits.max_text_chars])


def _say_what_is_hidden(
    snapshot: Snapshot, capabilities: Capabilities, missing: dict[str, Missing]
) -> None:
    role = capabilities.server.role
    if "column_statistics" not in missing and not capabilities.reads_all_data:
        analysed = any(a.last_analyze or a.last_autoanalyze for a in snapshot.table_activity)
        if analysed and not snapshot.column_statistics:
            missing["column_statistics"] = Missing(
                f"{role} sees no row of pg_stats, which shows only columns that the role may SELECT",
                f"GRANT pg_read_all_data TO {role};",
            )
    info = snapshot.statements_info[0] if snapshot.statements_info else None
    if info and info.entries and info.hidden_entries == info.entries:
        missing.setdefault(
            "statements",
            Missing(f"{role} may not see other roles' statements", grant_stats(role)),
        )


def _say_what_is_left_out(snapshot: Snapshot, limits: Limits, missing: dict[str, Missing]) -> None:
    caps = {
        "tables": limits.max_relations,
        "indexes": limits.max_indexes,
        "column_statistics": limits.max_columns,
        "constraints": limits.max_constraints,
    }
    for name, cap in caps.items():
        if len(getattr(snapshot, name)) >= cap:
            missing[f"{name}:left-out"] = Missing(
                f"only the {cap:,} largest {name.replace('_', ' ')} were read"
            )


def has_statements(snapshot: Snapshot) -> bool:
    """Tell whether pg_stat_statements could be read at all."""
    return "statements" not in snapshot.missing and snapshot.extension(PGSS) is not None
