"""Foreign tables without statistics that statements use.

## Why it matters
Autovacuum never analyzes foreign tables. Without statistics the planner assumes a fixed small number of rows, whatever is there,
and may read a remote table of millions once for each row of a local one.

## How sure we are
B: the catalog says that ANALYZE never counted its rows. Whether the guess does harm shows only in the plans.

## Not reported
- Foreign tables that no visible statement names, or fewer calls than `min_calls`; if the texts cannot be read, the verdict is
  unknown.
- Those with use_remote_estimate (postgres_fdw): the remote server is asked for each plan.
- Those that were analyzed once: how old that is is not recorded for foreign tables.

## Remedy
ANALYZE, which reads the remote table (all of it, unless its wrapper takes a sample there, as postgres_fdw does from 16 on), and
again whenever it has changed much: schedule it. Or use_remote_estimate, which costs a round trip per plan instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import ForeignTable, Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext.reading import read
from pgwatch_wed.units import count

NEEDS = ("foreign_tables",)
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer calls are an occasional look.
    min_calls: int = 10
    # Statements with at least this share of the load make it a warning.
    warn_load_share: float = 0.05


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each foreign table that statements use and nobody has analyzed."""
    blind = [t for t in snapshot.foreign_tables if _is_blind(snapshot, t)]
    if not blind:
        return
    if "statements" in snapshot.missing:
        why = snapshot.missing["statements"]
        which = ", ".join(t.qualified for t in blind[:3])
        yield Unknown(
            f"{which} {'was' if len(blind) == 1 else 'were'} never analyzed, but whether statements use "
            f"{'it' if len(blind) == 1 else 'them'} is not known: {why.reason}",
            why.mend,
        )
        return
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    yield from load.texts_unknown()
    for table in blind:
        users = [s for s in load.queries if s.text is not None and _names(snapshot, s.text, table)]
        if sum(s.calls for s in users) >= limits.min_calls:
            yield _finding(load, table, users, limits)


def _is_blind(snapshot: Snapshot, table: ForeignTable) -> bool:
    """Tell whether the planner knows nothing about its rows; before 14, no rows may also mean that it is empty."""
    told = snapshot.server.features.has_uncounted_rows()
    unknown = table.rows < 0 if told else table.rows <= 0 and table.pages == 0
    return unknown and not table.uses_remote_estimate


def _names(snapshot: Snapshot, text: str, table: ForeignTable) -> bool:
    """Tell whether a statement means the foreign table: unqualified, the name must exist only once."""
    if table.name.replace('"', '""').casefold() not in text.casefold():
        return False
    schemas = [t.schema for t in snapshot.foreign_tables if t.name == table.name]
    schemas += [t.schema for t in snapshot.tables_named.get(table.name, ())]
    return any(
        r.name == table.name
        and (r.schema == table.schema or (r.schema is None and len(schemas) == 1))
        for r in read(text).relations
    )


def _finding(load: q.Load, table: ForeignTable, users: list[Statement], limits: Limits) -> Finding:
    worst = max(users, key=lambda s: s.total_exec_ms)
    share = sum(load.share(s) for s in users)
    return Finding(
        object=Object(
            "table",
            table.name,
            database=load.snapshot.server.database,
            schema=table.schema,
            table=table.name,
        ),
        severity=Severity.WARNING if share >= limits.warn_load_share else Severity.INFO,
        grade=Grade.B,
        title=f"The foreign table {table.qualified} was never analyzed",
        detail=f"{count(len(users), 'statement')} with {count(sum(s.calls for s in users), 'call')} read it, and the "
        "planner guesses how many rows it has. Autovacuum does not analyze foreign tables.",
        evidence={
            "wrapper": table.wrapper,
            "foreign_server": table.foreign_server,
            "load_share": round(share, 4),
            "query_ids": sorted({s.query_id for s in users}),
            "query": worst.text,
        },
        impact=Impact(risk="the planner has to guess, and may read it far too often"),
        remedy=(
            Remedy(
                sql=f"ANALYZE {ident(table.schema, table.name)};",
                lock="SHARE UPDATE EXCLUSIVE on the foreign table: does not block reads or writes; it reads the remote one",
                undo="-- nothing to undo: it only refreshes the planner's statistics",
            ),
        ),
        caveats=tuple(_caveats(table)),
    )


def _caveats(table: ForeignTable) -> Iterator[str]:
    yield "Nothing repeats it: schedule ANALYZE for when the remote table has changed much."
    if table.wrapper == "postgres_fdw":
        yield (
            "If reading the remote table is too expensive: ALTER FOREIGN TABLE "
            f"{' '.join(ident(table.schema, table.name).splitlines())} OPTIONS (ADD use_remote_estimate 'true') asks the "
            "remote planner instead, once or more for each plan."
        )
    elif table.wrapper != "file_fdw":
        yield f"Whether {table.wrapper} supports ANALYZE is not known; if it does not, ANALYZE says so and skips it."
