"""The statements that advice is for: a folder of ``.sql`` files, or pg_stat_statements."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from pgwatch_wed.errors import CollectError, UsageError, said
from pgwatch_wed.sqltext import statement
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.whatif.model import Query, Rejected

WEIGHTS = "weights.json"
MAX_STATEMENTS = 1000
_TYPICAL_LIMIT = 100
_MAX_FILE_BYTES = 1_000_000
_MAX_NAME = 60

_STATEMENTS: LiteralString = """
/* pgwatch_wed index advice */
select s.queryid, convert_to(s.query, 'UTF8') as query, s.calls,
       coalesce((to_jsonb(s) - 'query') ->> 'total_exec_time',
                (to_jsonb(s) - 'query') ->> 'total_time')::float8 as total_ms
from {schema}.pg_stat_statements s
where s.dbid = (select oid from pg_database where datname = current_database())
  and coalesce((to_jsonb(s) - 'query') ->> 'toplevel', 'true')::bool
order by 4 desc limit %s
"""


@dataclass(frozen=True, slots=True)
class Workload:
    """Queries that can be planned, those that cannot, and where they come from."""

    queries: tuple[Query, ...]
    rejected: tuple[Rejected, ...] = ()
    source: str = ""
    is_measured: bool = False
    hidden: int = 0


def from_folder(folder: Path) -> Workload:
    """Read a folder: one statement a ``.sql`` file, weights in ``weights.json`` if there is one.

    Raises :class:`UsageError` where the folder or the weights cannot be read.
    """
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".sql")
    except OSError as error:
        raise UsageError(
            f"could not read the workload {folder}: {error.strerror}",
            "--workload takes a folder of .sql files, one statement each",
        ) from None
    if not files:
        raise UsageError(
            f"the workload {folder} holds no .sql file", "put one statement into each file"
        )
    weights = _weights(folder / WEIGHTS, {p.name for p in files})
    return _workload((_read_file(p, weights.get(p.name, 1.0)) for p in files), str(folder))


def from_statements(connection: psycopg.Connection[Any], limit: int = MAX_STATEMENTS) -> Workload:
    """Read pg_stat_statements: the database's own top-level statements, the dearest first.

    Raises :class:`CollectError` where the extension is missing or may not be read.
    """
    schema = _extension_schema(connection)
    query = psycopg.sql.SQL(_STATEMENTS).format(schema=psycopg.sql.Identifier(schema))
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query, [limit]).fetchall()
    except psycopg.Error as error:
        raise CollectError(
            f"pg_stat_statements cannot be read: {said(error)}",
            "give --workload DIR, or GRANT pg_read_all_stats to the role",
        ) from None
    visible = [r for r in rows if r["queryid"] is not None and r["query"] is not None]
    found = _workload(map(_from_row, _summed(visible)), "pg_stat_statements")
    return replace(found, is_measured=True, hidden=len(rows) - len(visible))


def _workload(found: Iterable[Query | Rejected], source: str) -> Workload:
    queries: list[Query] = []
    rejected: list[Rejected] = []
    for each in found:
        if isinstance(each, Rejected):
            rejected.append(each)
        elif not _is_foreign(each.sql):
            queries.append(each)
    return Workload(tuple(queries), tuple(rejected), source)


def _is_foreign(text: str) -> bool:
    """Tell whether a statement is ours or a monitoring tool's."""
    return statement_text.is_own(text) or statement_text.is_monitoring(text)


def _read_file(path: Path, weight: float) -> Query | Rejected:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            return Rejected(path.name, "the file is larger than 1 MB")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return Rejected(path.name, "the file is not UTF-8")
    except OSError as error:
        return Rejected(path.name, f"the file cannot be read: {error.strerror}")
    return query_of(path.name, text, weight=weight)


def query_of(name: str, text: str, **more: Any) -> Query | Rejected:
    """Return a query of a text, or why it is none."""
    try:
        if "\0" in text:
            raise UnsupportedError("it holds a zero byte")
        parsed = statement.parse(text, _TYPICAL_LIMIT)
    except UnsupportedError as error:
        return Rejected(name, str(error))
    is_open = parsed.parameters > 0
    return Query(name, parsed.text, is_write=parsed.is_write, has_parameters=is_open, **more)


def _weights(file: Path, names: set[str]) -> dict[str, float]:
    if not file.exists():
        return {}
    try:
        weights = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(weights, dict):
            raise TypeError("it is no object")
        return {name: _weight(name, value, names) for name, value in weights.items()}
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{file}: {error}", 'it maps file names to weights: {"orders.sql": 12.5}'
        ) from None


def _weight(name: str, value: Any, names: set[str]) -> float:
    if name not in names:
        raise ValueError(f"there is no file {name!r}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise ValueError(f"the weight of {name!r} is not a number from 0 on")
    return float(value)


def _extension_schema(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute(
        "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace"
        " where e.extname = 'pg_stat_statements'"
    ).fetchone()
    if row is None:
        raise CollectError(
            "this database has no pg_stat_statements to take the workload from",
            "give --workload DIR, or CREATE EXTENSION pg_stat_statements and let it run",
        )
    return str(row[0])


def _summed(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Add up what several roles ran."""
    merged: dict[int, dict[str, Any]] = {}
    for row in rows:
        known = merged.setdefault(row["queryid"], row)
        if known is not row:
            known["calls"] += row["calls"]
            known["total_ms"] += row["total_ms"]
    return iter(merged.values())


def _from_row(row: dict[str, Any]) -> Query | Rejected:
    text = bytes(row["query"]).decode("utf-8", "replace")
    name = _name(text, row["queryid"])
    if statement_text.is_utility(text):
        return Rejected(name, "it is a utility statement")
    if "<insufficient privilege>" in text[:30]:
        return Rejected(name, "its text is hidden from this role")
    return query_of(
        name,
        text,
        query_id=row["queryid"],
        calls=float(row["calls"]),
        total_ms=float(row["total_ms"]),
    )


def _name(text: str, query_id: int) -> str:
    short = " ".join(text.split())[:_MAX_NAME]
    return f"{query_id} {short}"
