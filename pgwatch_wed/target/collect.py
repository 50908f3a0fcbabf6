"""Connection → Snapshot: collect facts, judge nothing, wait for no lock.

:mod:`pgwatch_wed.target.session` runs the queries; this module decides which, in what order, and what
happens to the results. What cannot be read is missing with a reason, and does not affect the rest.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from collections.abc import Sequence as Items
from dataclasses import dataclass, field, replace
from heapq import nlargest
from operator import attrgetter
from typing import Any

from pgwatch_wed import __version__, units
from pgwatch_wed.errors import CollectError
from pgwatch_wed.facts import (
    UNASKED,
    Cause,
    Extension,
    Missing,
    Sequence,
    Server,
    Session,
    Snapshot,
    Statement,
)
from pgwatch_wed.facts.snapshot import FROM_HISTORY
from pgwatch_wed.postgres import privileges
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.target import connect, denied, queries
from pgwatch_wed.target.capabilities import Capabilities
from pgwatch_wed.target.session import CollectLimits as CollectLimits
from pgwatch_wed.target.session import Reader, Rows, reading

# What changes quickly first: lock waits are soon over, catalogs stay.
ORDER = (
    *(
        "sessions",
        "subtransactions",
        "lock_waits",
        "relation_locks",
        "lock_table",
        "vacuums",
        "index_builds",
    ),
    *("prepared_transactions", "replicas", "slots", "slot_spills", "recovery"),
    *("databases", "checkpoints", "wal", "io", "slru", "archiver"),
    *("settings", "role_settings", "file_settings", "roles", "rights", "schemas"),
    *(
        "tables",
        "other_relations",
        "foreign_tables",
        "system_tables",
        "large_objects",
        "table_activity",
        "file_sizes",
        "indexes",
        "index_usage",
        "constraints",
        "domain_constraints",
        "columns",
        "implied_changes",
        "column_dependents",
        "domains",
    ),
    *("column_statistics", "extended_statistics", "sequences", "publications", "subscriptions"),
    *("collation_versions", "statements_info", "statements", "index_definitions"),
)
CLUSTER_FACTS = frozenset(
    (
        *(
            "sessions",
            "subtransactions",
            "lock_table",
            "prepared_transactions",
            "replicas",
            "slots",
            "slot_spills",
            "recovery",
        ),
        *("databases", "checkpoints", "wal", "io", "slru", "archiver", "settings"),
        *("role_settings", "file_settings", "roles", "vacuums"),
    )
)


def _not_asked(reason: str, mend: str) -> Missing:
    return Missing(reason, mend, Cause.NOT_ASKED)


# Facts that take more than reading catalogs; see enrichment.py. They are absent unless requested.
DERIVED: Mapping[str, Missing] = {
    "missing_indexes": _not_asked(
        "the index advisor did not run", "omit --no-advise, or run db-analyze indexes TARGET"
    ),
    "index_drop_trials": _not_asked("the index advisor did not run", "omit --no-advise"),
    "statement_plans": _not_asked("statements were not planned", "run against the server itself"),
    "exact_bloat": _not_asked("bloat was not measured", "use --exact-bloat"),
    **dict.fromkeys(
        ("sampled_minutes", "activity_minutes", "lock_episodes"),
        _not_asked("sessions were not sampled", "use db-analyze collect --samples 1s --for 10m"),
    ),
}


Demand = Callable[[Snapshot], Set[str]]
"""Given what has been read, returns the facts that are needed as well; what was not read is :data:`UNASKED`."""

# Without them, others are wrong or cannot be read.
_BELONGING: Mapping[str, tuple[str, ...]] = {
    "index_definitions": ("indexes",),
    "statements": ("statements_info",),
    # whose tables are to be skipped
    **dict.fromkeys(("table_activity", "columns", "indexes", "constraints"), ("tables",)),
    "column_statistics": ("tables", "table_activity"),
}


# The number of objects read at a time, so that a locked or dropped one does not affect all others.
_PART = 1000
# An object was locked or dropped between our check and our read: the second check notices it.
_PASSING = frozenset((Cause.LOCKED, Cause.VANISHED))


def collect(
    conninfo: str,
    *,
    limits: CollectLimits | None = None,
    budget_s: float | None = None,
    progress: Progress = silent,
    only: Iterable[str] | None = None,
    demand: Demand | None = None,
    cluster: Snapshot | None = None,
) -> Snapshot:
    """Read a target.

    ``only`` names the facts to read (default: all), ``demand`` those that are needed in view of what was read before;
    ``cluster`` is a snapshot of another database of
    the same server, whose server-wide facts are reused. Raises ConnectError, or CollectError if not
    even the server's version can be read.
    """
    with reading(conninfo, limits or CollectLimits(), budget_s) as reader:
        begun = begin(reader)
        if demand is not None:
            return read_on_demand(reader, begun, demand, progress, cluster)
        return read(reader, begun, ORDER if only is None else only, progress, cluster)


@dataclass(frozen=True, slots=True)
class Begun:
    """What the first queries of a connection told: what the server is, and what can be read there."""

    server: Server
    extensions: tuple[Extension, ...]
    missing: Mapping[str, Missing]

    @property
    def capabilities(self) -> Capabilities:
        """The versions and privileges that determine what is read."""
        return Capabilities.of(self.server, self.extensions)


def begin(reader: Reader, before: Begun | None = None) -> Begun:
    """Read what has to be known before anything else is read over this connection.

    ``before`` is what was read over it earlier; what does not change during a connection is taken from there.
    """
    if before is not None:
        known = before.server
        reader.server = replace(
            _server(reader),
            system_identifier=known.system_identifier,
            timeline=known.timeline,
            database_created_at=known.database_created_at,
        )
        return replace(before, server=reader.server)
    server = reader.server = identify(reader)
    return Begun(server, *_extensions(reader))


def read(
    reader: Reader,
    begun: Begun,
    only: Iterable[str],
    progress: Progress = silent,
    cluster: Snapshot | None = None,
) -> Snapshot:
    """Read facts over a connection; those that are not named are left empty."""
    facts = _Facts(reader, begun, cluster)
    facts.add(set(only), progress)
    progress("done", 1.0)
    return facts.snapshot()


def read_on_demand(
    reader: Reader,
    begun: Begun,
    demand: Demand,
    progress: Progress = silent,
    cluster: Snapshot | None = None,
) -> Snapshot:
    """Read what is needed, and then what turns out to be needed as well; the rest is :data:`UNASKED`."""
    facts = _Facts(reader, begun, cluster)
    asked: frozenset[str] = frozenset()
    snapshot = facts.snapshot(_unasked(asked))
    while more := demand(snapshot) - asked:
        asked |= more
        facts.add(_with_belonging(asked), progress)
        snapshot = facts.snapshot(_unasked(asked | facts.found.keys()))
    progress("done", 1.0)
    return snapshot


def _with_belonging(names: Set[str]) -> Set[str]:
    belonging = {other for name in names for other in _BELONGING.get(name, ())}
    return names if belonging <= names else _with_belonging(names | belonging)


def _unasked(asked: Set[str]) -> dict[str, Missing]:
    # what a complete run adds is there if everything was read
    return {name: UNASKED for name in (*ORDER, *DERIVED, *FROM_HISTORY) if name not in asked}


@dataclass(slots=True)
class _Facts:
    """What has been read over a connection so far."""

    reader: Reader
    begun: Begun
    cluster: Snapshot | None
    found: dict[str, Rows] = field(default_factory=dict)
    missing: dict[str, Missing] = field(default_factory=dict)

    def add(self, wanted: Set[str], progress: Progress) -> None:
        """Read facts, unless they have been read."""
        names = [n for n in ORDER if n in wanted and n not in self.found and n not in self.missing]
        for place, name in enumerate(names):
            progress(name.replace("_", " "), place / len(names))
            rows = _known(self.cluster, name)
            if rows is None:
                rows = _fact(self.reader, name, self.begun.capabilities, self.found)
            if isinstance(rows, Missing):
                self.missing[name] = rows
            else:
                self.found[name] = rows

    def snapshot(self, unasked: Mapping[str, Missing] | None = None) -> Snapshot:
        """Return what was read, and why the rest was not."""
        missing = {**self.begun.missing, **(unasked or {}), **self.missing}
        missing |= _what_parts_lack(self.found) | self.reader.notes
        snapshot = Snapshot(
            tool_version=__version__,
            server=self.begun.server,
            missing=missing,
            extensions=self.begun.extensions,
            query_costs=tuple(self.reader.costs),
            **self.found,  # type: ignore[arg-type] # each has the type that fact_types() returns for its name
        )
        return _tidy(snapshot, self.begun.capabilities, self.reader.limits)


def identify(reader: Reader) -> Server:
    """Read what server it is; the first query of each session."""
    server = reader.server = _server(reader)
    identity = reader.read(_query("system"), {})
    if not isinstance(identity, Missing) and identity:
        system_identifier, timeline, may_read_files = identity[0]
        server = replace(server, system_identifier=system_identifier, timeline=timeline)
        if not may_read_files:
            return server
    birth = reader.read(_query("birth"), {})
    if not isinstance(birth, Missing) and birth:
        server = replace(server, database_created_at=birth[0][0])
    return server


def _server(reader: Reader) -> Server:
    rows = reader.read(_query("server"), {})
    if isinstance(rows, Missing):
        raise CollectError(f"could not read the server's version: {rows.reason}", rows.mend)
    server: Server = rows[0]
    return server


def _extensions(reader: Reader) -> tuple[tuple[Extension, ...], dict[str, Missing]]:
    missing = dict(DERIVED)
    rows = reader.read(_query("extensions"), {})
    if isinstance(rows, Missing):
        missing["extensions"] = rows
        installed = reader.read(_query("installed_extensions"), {})
        rows = () if isinstance(installed, Missing) else tuple(Extension(*e) for e in installed)
    return rows, missing


def _query(name: str) -> queries.QueryFile:
    query = queries.choose(name, 0, {})
    assert query is not None
    return query


def _known(cluster: Snapshot | None, name: str) -> Rows | Missing | None:
    """Reuse a fact of the whole server; it may be known to be empty."""
    if cluster is None or name not in CLUSTER_FACTS:
        return None
    rows: Rows = getattr(cluster, name)
    why = cluster.missing.get(name)
    return None if why == UNASKED else why or rows


def _fact(
    reader: Reader, name: str, capabilities: Capabilities, found: Mapping[str, Rows]
) -> Rows | Missing:
    if reader.is_broken:
        return reader.why_broken()
    if reader.remaining_s() < 0.01:
        return _OUT_OF_TIME
    if name == "index_definitions":
        return _index_definitions(reader, found.get("indexes", ()))
    if name == "statements":
        return _statements(reader, capabilities)
    if name == "column_statistics" and privileges.reads_catalog(capabilities.server):
        return _all_column_statistics(reader, capabilities)
    rows = _newest(reader, name, capabilities)
    if name == "sequences" and not isinstance(rows, Missing):
        return _with_values(reader, rows)
    return rows


def _all_column_statistics(reader: Reader, capabilities: Capabilities) -> Rows | Missing:
    """Read pg_statistic: pg_stats hides tables with row-level security."""
    query = _query("all_column_statistics")
    limits = {"max_columns": str(reader.limits.max_columns)}
    rows = reader.run("column_statistics", query.render(limits).encode())
    if not isinstance(rows, Missing) or rows.cause not in (Cause.DENIED, Cause.NOT_OFFERED):
        return rows
    reader.notes["column_statistics:left-out"] = Missing(
        f"pg_statistic cannot be read, and pg_stats hides tables with row-level security: {rows.said}",
        "",
        Cause.CLOSED,
        rows.said,
    )
    return _newest(reader, "column_statistics", capabilities)


_OUT_OF_TIME = Missing("the time budget was exhausted", "increase --budget", Cause.OUT_OF_TIME)


def _statements(reader: Reader, capabilities: Capabilities) -> Rows | Missing:
    """Read statements' counters, then the texts of those that stand out, and put them together.

    The server would join its two lists row by row: it expects a handful, and there are thousands.
    What was evicted or hidden in between keeps its counters and has no text.
    """
    rows = _newest(reader, "statements", capabilities)
    if isinstance(rows, Missing) or not rows:
        return rows
    most = reader.limits.max_texts
    for wanted in (_standing_out, _taking_the_time):
        ids = ",".join(map(str, sorted(wanted(rows, most))))
        texts = _newest(reader, "statement_texts", capabilities, query_ids=ids) if ids else ()
        if isinstance(texts, Missing):
            reader.notes["statements:left-out"] = _no_text(texts)
            return rows
        known = {(user, query_id, toplevel): text for user, query_id, toplevel, text in texts}
        rows = tuple(
            _with_text(s, known.get((s.user_oid, s.query_id, s.is_toplevel), s.text)) for s in rows
        )
    return rows


def _with_text(statement: Statement, text: str | None) -> Statement:
    return statement if statement.text == text else replace(statement, text=text)


# The rankings of the statements query; each column is a field of Statement.
_RANKINGS = (
    *("total_exec_ms", "calls", "shared_blks_read"),
    *("temp_blks_written", "wal_bytes", "rows"),
)


def _standing_out(statements: Iterable[Statement], most: int) -> set[int]:
    """Return the query ids of the first in each ranking."""
    return {
        s.query_id for name in _RANKINGS for s in nlargest(most, statements, key=attrgetter(name))
    }


# The share of the time for which texts are read: rules say unknown if they see less than 90%.
_TEXTS_OF_LOAD = 0.95
_MOST_TEXTS = 10  # as a multiple of the length of a ranking


def _taking_the_time(statements: Iterable[Statement], most: int) -> set[int]:
    """Return the query ids of more statements if the first in each ranking are not nearly all of the load.

    On most servers, a few statements take most of the time; on others, thousands take a little each. What
    this tool and others took is not counted, and only texts tell.
    """
    theirs = [s for s in statements if s.text is None or not _is_tooling(s.text)]
    unread = [s for s in theirs if s.text is None]
    left = sum(s.total_exec_ms for s in unread)
    left -= (1 - _TEXTS_OF_LOAD) * sum(s.total_exec_ms for s in theirs)
    ids: set[int] = set()
    for s in nlargest(_MOST_TEXTS * most, unread, key=attrgetter("total_exec_ms")):
        if left <= 0:
            break
        ids.add(s.query_id)
        left -= s.total_exec_ms
    return ids


def _is_tooling(text: str) -> bool:
    return statement_text.is_own(text) or statement_text.is_monitoring(text)


def _no_text(why: Missing) -> Missing:
    """Return why texts are missing; one that the server cannot convert, of any database, costs all."""
    return Missing(
        f"statement texts could not be read: {why.reason}",
        "the cause is statements of a database with another encoding; "
        "pg_stat_statements_reset(0, oid of that database, 0) removes them"
        if why.cause is Cause.UNDECODABLE
        else why.mend,
        why.cause,
        why.said,
    )


def _newest(reader: Reader, name: str, capabilities: Capabilities, **values: str) -> Rows | Missing:
    """Read with the newest query that this server can run.

    A fork may lack a feature of its version, but still have what an older version had.
    """
    fitting = queries.fitting(name, capabilities.server.major, capabilities.extension_versions)
    first: Missing | None = None
    for query in fitting:
        filled = {"extschema": capabilities.schema_of(query.of), **values}
        rows = _twice(lambda: reader.read(query, filled))  # noqa: B023 - called at once
        if isinstance(rows, Missing) and rows.cause is Cause.DENIED:
            limits = dict.fromkeys(queries.tokens(query), "1")
            return denied.explained(reader, name, query.render({**limits, **filled}), rows)
        if not (isinstance(rows, Missing) and rows.cause is Cause.NOT_OFFERED):
            return rows
        first = first or rows
    return first or _no_query(name, capabilities)


def _twice(read: Callable[[], Rows | Missing]) -> Rows | Missing:
    rows = read()
    return read() if _has_passed(rows) else rows


def _has_passed(rows: Rows | Missing) -> bool:
    return isinstance(rows, Missing) and rows.cause in _PASSING


def _no_query(name: str, capabilities: Capabilities) -> Missing:
    extension = queries.extension_of(name)
    if extension is None:
        return Missing(f"it requires {queries.needs(name)}", "", Cause.NOT_OFFERED)
    if extension not in capabilities.extension_versions:
        return Missing(
            f"extension {extension} is not installed in this database",
            f"CREATE EXTENSION {extension}; (requires {extension} in shared_preload_libraries)",
            Cause.NOT_OFFERED,
        )
    return Missing(
        f"{extension} {capabilities.extension_versions[extension]} is too old; this requires "
        f"{queries.needs(name)}",
        f"ALTER EXTENSION {extension} UPDATE;",
        Cause.NOT_OFFERED,
    )


# --- what opens the users' own objects, and is therefore read in parts ----------------------------


def _index_definitions(reader: Reader, indexes: Rows) -> Rows | Missing:
    query = _query("index_definitions")

    def read(oids: Items[int]) -> Rows | Missing:
        return reader.read(query, {"oids": ",".join(map(str, oids))})

    return _in_parts(reader, read, [index.oid for index in indexes])


def _with_values(reader: Reader, sequences: Rows) -> Rows:
    """Read the sequences' values with SELECT, whose lock is the weakest and ends with each part.

    pg_sequences would wait for ALTER SEQUENCE, make it wait for us, and fill the lock table.
    """
    names = reader.read(_query("sequence_names"), {})
    # a name with bytes that are not valid text cannot be written back
    readable = () if isinstance(names, Missing) else [n for n in names if "\ufffd" not in n[1]]

    def read(some: Items[tuple[int, str]]) -> Rows | Missing:
        selects = (f"select {oid}::int8, last_value, is_called from {name}" for oid, name in some)  # noqa: S608 - quoted by the server's format(%I)
        return reader.run(
            "sequence_values", b" union all ".join(s.encode(reader.codec) for s in selects)
        )

    rows = _in_parts(reader, read, list(readable), 200)
    values = {} if isinstance(rows, Missing) else {oid: (v, called) for oid, v, called in rows}
    if unread := sum(s.oid not in values for s in sequences):
        reader.notes["sequences:left-out"] = _why_unread(reader, unread)
    return tuple(_valued(s, values.get(s.oid)) for s in sequences)


def _why_unread(reader: Reader, unread: int) -> Missing:
    """Return why the values of sequences could not be read, and the smallest GRANT that allows it."""
    assert reader.server is not None
    what = f"{units.count(unread, 'sequence value')} not read"
    rows = reader.read(_query("sequence_grants"), {})
    denied = () if isinstance(rows, Missing) else rows
    if not denied:
        return Missing(f"{what}: locked, or too many", "run again", Cause.LEFT_OUT)
    role = reader.server.role
    some = sum(n for _, _, n in denied)
    reason = f"{what}: {role} may not read {'them' if some >= unread else some}"
    return Missing(reason, _grant_sequences(role, denied), Cause.LEFT_OUT)


def _grant_sequences(role: str, schemas: Rows) -> str:
    """Return GRANTs by quoted schema, and whether the role has USAGE on it: they show no row of any table."""
    to = f"TO {ident(role)};"
    grants: list[str] = []
    for schema, is_usable, _ in schemas:
        grants += [] if is_usable else [f"GRANT USAGE ON SCHEMA {schema} {to}"]
        grants.append(f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} {to}")
    return " ".join(grants)


def _valued(sequence: Sequence, value: tuple[int, bool] | None) -> Sequence:
    if value is None:
        return sequence
    return replace(sequence, is_readable=True, last_value=value[0] if value[1] else None)


def _in_parts(
    reader: Reader,
    read: Callable[[Items[Any]], Rows | Missing],
    objects: Items[Any],
    size: int = _PART,
) -> Rows | Missing:
    """Read objects part by part; a part in which something was locked or dropped is halved."""
    rows: list[Any] = []
    for start in range(0, len(objects), size):
        if reader.is_broken or reader.remaining_s() < 0.01:
            break
        part = _halving(read, objects[start : start + size])
        if isinstance(part, Missing):
            return part
        rows += part
    return tuple(rows)


def _halving(read: Callable[[Items[Any]], Rows | Missing], objects: Items[Any]) -> Rows | Missing:
    rows = _twice(lambda: read(objects))
    if not _has_passed(rows):
        return rows
    if len(objects) == 1:
        return ()
    middle = len(objects) // 2
    left, right = _halving(read, objects[:middle]), _halving(read, objects[middle:])
    if isinstance(left, Missing) or isinstance(right, Missing):
        return left if isinstance(left, Missing) else right
    return left + right


def _what_parts_lack(found: Mapping[str, Rows]) -> dict[str, Missing]:
    """Return how many of the objects that are read in parts could not be read."""
    lacking: dict[str, Missing] = {}
    indexes, definitions = found.get("indexes", ()), found.get("index_definitions")
    if definitions is not None and (n := len(indexes) - len(definitions)) > 0:
        lacking["index_definitions:left-out"] = Missing(
            f"{units.count(n, 'index definition')} not read: locked, dropped, or out of time",
            "run again",
            Cause.LEFT_OUT,
        )
    return lacking


# --- what is corrected before the snapshot is kept ----------------------------------------------------------


def _tidy(snapshot: Snapshot, capabilities: Capabilities, limits: CollectLimits) -> Snapshot:
    missing = dict(snapshot.missing)
    _say_what_is_hidden(snapshot, capabilities, missing)
    _say_what_is_left_out(snapshot, limits, missing)
    return replace(
        snapshot,
        missing=missing,
        sessions=tuple(
            _without_values(s) for s in snapshot.sessions if not connect.is_ours(s.application_name)
        ),
        vacuums=tuple(v for v in snapshot.vacuums if v.relation_oid is not None),
        index_builds=tuple(b for b in snapshot.index_builds if b.relation_oid is not None),
        statements=tuple(_shortened(s, limits) for s in snapshot.statements),
    )


def _without_values(session: Session) -> Session:
    if session.query is None:
        return session
    return replace(session, query=statement_text.normalise(session.query)[:2000])


def _shortened(statement: Statement, limits: CollectLimits) -> Statement:
    """Keep texts to a readable length; before 16, utility statements still contain their literals."""
    text = statement.text
    if text is None or text == _HIDDEN:
        return _with_text(statement, None)
    # our own keep their mark, which is a comment
    if statement_text.is_utility(text) and not statement_text.is_own(text):
        holds_query = statement_text.holds_query(text)
        text = statement_text.numbered(text) if holds_query else statement_text.normalise(text)
    return _with_text(statement, text[: limits.max_text_chars])


def _say_what_is_hidden(
    snapshot: Snapshot, capabilities: Capabilities, missing: dict[str, Missing]
) -> None:
    """Mark as missing what is hidden from this role: otherwise rules would say `clear`."""
    server = capabilities.server
    role = server.role
    _say_whose_statistics_are_hidden(snapshot, server, missing)

    def hide(name: str, reason: str) -> None:
        if capabilities.reads_all_stats:
            reason = f"{reason}, although it is a member of {privileges.ALL_STATS}"
            missing.setdefault(name, Missing(reason, "", Cause.CLOSED))
        else:
            mend = privileges.grant_stats(server)
            missing.setdefault(name, Missing(reason, mend, Cause.DENIED))

    # to a member, only sessions of the provider's own roles are hidden
    if any(s.query == _HIDDEN for s in snapshot.sessions) and not capabilities.reads_all_stats:
        hide("sessions", f"{role} sees only its own sessions")
    if any(v.relation_oid is None for v in snapshot.vacuums):
        hide("vacuums", f"{role} sees only its own vacuums")
    if any(b.relation_oid is None for b in snapshot.index_builds):
        hide("index_builds", f"{role} sees only its own index builds")
    if any(r.state is None for r in snapshot.replicas) and not capabilities.reads_all_stats:
        hide("replicas", f"{role} does not see the progress of replicas")
    share = _hidden_share(snapshot)
    if share is not None and share > _MAX_HIDDEN_SHARE:
        spent = units.share(share)
        hide(
            "statements",
            f"{role} may not see other roles' statements, {spent} of the execution time",
        )


def _say_whose_statistics_are_hidden(
    snapshot: Snapshot, server: Server, missing: dict[str, Missing]
) -> None:
    """Say that a role sees no statistics, or not those of tables that are known to have been analyzed."""
    if "column_statistics" in missing or privileges.reads_all_statistics(server):
        return
    seen = {s.table_oid for s in snapshot.column_statistics}
    # Not by the dates of ANALYZE: a crash and pg_stat_reset() lose them.
    unseen = [t for t in snapshot.tables if t.rows > 0 and t.oid not in seen]
    analysed = {a.oid for a in snapshot.table_activity if a.last_analyze or a.last_autoanalyze}
    hidden = sum(t.oid in analysed for t in unseen)
    mend = privileges.grant_column_statistics(server)
    why = "pg_stats shows only columns that the role may SELECT, of tables without row-level security for it"
    if unseen and not seen:
        reason = f"{server.role} sees no rows in pg_stats: {why}"
        missing["column_statistics"] = Missing(reason, mend, Cause.DENIED)
    elif hidden:
        reason = f"the statistics of {units.count(hidden, 'table')} are hidden: {why}"
        missing["column_statistics:left-out"] = Missing(reason, mend, Cause.DENIED)


_HIDDEN = "<insufficient privilege>"
_MAX_HIDDEN_SHARE = 0.5


def _hidden_share(snapshot: Snapshot) -> float | None:
    """Return the share of this database's execution time whose statements the role may not see."""
    info = snapshot.statements_info[0] if snapshot.statements_info else None
    if info is None or not info.hidden_entries:
        return None
    own = [s for s in snapshot.statements if s.text is not None and statement_text.is_own(s.text)]
    ours = sum(s.total_exec_ms for s in own)
    seen = sum(s.total_exec_ms for s in snapshot.statements if s.is_toplevel) - ours
    whole = info.total_exec_ms_database - ours
    return max(0.0, 1 - seen / whole) if whole > 0 else None


def _say_what_is_left_out(
    snapshot: Snapshot, limits: CollectLimits, missing: dict[str, Missing]
) -> None:
    caps = {
        "tables": limits.max_relations,
        "indexes": limits.max_indexes,
        "column_statistics": limits.max_columns,
        "constraints": limits.max_constraints,
        "statements": limits.max_statements,
    }
    for name, cap in caps.items():
        if len(getattr(snapshot, name)) >= cap:
            which = "costliest" if name == "statements" else "largest"
            missing[f"{name}:left-out"] = Missing(
                f"only the {cap:,} {which} {name.replace('_', ' ')} were read", "", Cause.LEFT_OUT
            )
