"""Reports for tests of renderers: small and hostile, or large."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Index, IndexUsage, Server, Snapshot, Statement, Table, TableActivity
from pgwatch_wed.facts.fields import field_types
from pgwatch_wed.facts.rowwise import row
from pgwatch_wed.findings import (
    Finding,
    Grade,
    Impact,
    MeasuredTime,
    Object,
    Remedy,
    Report,
    Severity,
)

Row = TypeVar("Row")

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOSTILE = (
    '=HYPERLINK("http://x"),\n</script><script>alert(1)</script><img src=x onerror=alert(2)>'
    "\"'`&|\u202e\x1b[31m\u0000😀"
)


def blank(fact: type[Row], /, **values: object) -> Row:
    """Build a fact with the plainest values, and those given."""
    plain = {n: _plain(t) for n, t in field_types(cast("type", fact)).items()}
    return cast("Row", row(fact, (plain | values).keys(), (plain | values).values()))


def _plain(hint: object) -> object:
    text = str(hint)
    if "None" in text:
        return None
    if "tuple" in text:
        return []
    return {"int": 0, "float": 0.0, "bool": False, "str": ""}.get(
        getattr(hint, "__name__", ""), NOW.isoformat()
    )


def server(**values: object) -> Server:
    """A server of version 18."""
    base = {"version_num": 180006, "version": "18.6", "database": "shop", "block_size": 8192}
    return blank(Server, **(base | values))


def finding(number: int = 0, **values: object) -> Finding:
    """A finding with everything in it."""
    base: dict[str, object] = {
        "object": Object("index", f"index_{number}", "shop", "public", "orders"),
        "severity": list(Severity)[number % 3],
        "grade": list(Grade)[number % 4],
        "title": f"public.index_{number} is a copy",
        "detail": "Both are btree indexes on the same columns.",
        "evidence": {"size_bytes": 10_000_000 + number, "query": "select 1", "columns": ["a", "b"]},
        "impact": Impact(
            gain=MeasuredTime(1000.0 + number, 86_400.0, 100_000.0),
            bytes=10_000_000,
            risk="writes cost twice",
        ),
        "remedy": (
            Remedy(
                f"DROP INDEX CONCURRENTLY public.index_{number};",
                "SHARE UPDATE EXCLUSIVE",
                in_transaction=False,
                undo="CREATE INDEX CONCURRENTLY i ON public.orders USING btree (a);",
            ),
        ),
        "caveats": ("Look twice.",),
        "rule": "index-duplicate",
        "area": "index",
        "docs": "docs/rules/index-duplicate.md",
    }
    return Finding(**(base | values))  # type: ignore[arg-type]


def report(findings: tuple[Finding, ...], snapshots: tuple[Snapshot, ...] = ()) -> Report:
    """A report that holds these findings."""
    empty = Snapshot(tool_version="0", server=server())
    return replace(analyse(list(snapshots) or [empty], Config(), rules=[]), findings=findings)


def large(tables: int = 10_000, indexes: int = 50_000, statements: int = 5_000) -> Snapshot:
    """A snapshot of many objects, none of them alike."""
    return Snapshot(
        tool_version="0",
        server=server(),
        tables=tuple(
            blank(Table, oid=n, schema=f"s{n % 50}", name=f"table_{n}", kind="r", pages=n)
            for n in range(tables)
        ),
        table_activity=tuple(
            blank(TableActivity, oid=n, n_live_tup=n * 7, seq_scan=n % 91) for n in range(tables)
        ),
        indexes=tuple(
            blank(
                Index,
                oid=100_000 + n,
                table_oid=n % tables,
                schema=f"s{n % 50}",
                name=f"table_{n % tables}_column_{n}_idx",
                access_method="btree",
                pages=n % 977,
                columns=[1],
                key_count=1,
            )
            for n in range(indexes)
        ),
        index_usage=tuple(
            blank(IndexUsage, oid=100_000 + n, idx_scan=n * 13 % 7919) for n in range(indexes)
        ),
        statements=tuple(
            blank(
                Statement,
                query_id=n,
                is_toplevel=True,
                text=f"select column_{n}, other_{n % 97} from table_{n} where id = $1 and x > $2",
                calls=n,
                total_exec_ms=float(n) * 1.7,
                mean_exec_ms=1.7,
            )
            for n in range(statements)
        ),
    )


def window(days: float) -> datetime:
    """A moment before NOW."""
    return NOW - timedelta(days=days)
