"""No collect query scans a function's rows, or a large catalog, once for each row of something else.

The planner guesses how many rows a function returns, and joins to a handful by nested loop. Of what grows
with the server (locks, sessions, statements, prepared transactions, settings) that makes a quadratic query,
and no small server shows it by time. So here all joins are nested loops, which none of the queries may mind.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed import assets
from pgwatch_wed.target import queries
from pgwatch_wed.target.queries import QueryFile
from pgwatch_wed.target.session import CollectLimits, Reader, reading
from tests.servers import Server
from tests.zoo import zoo

pytestmark = pytest.mark.all_versions

Node = dict[str, Any]

# Scanned again and again, and rightly so.
ALLOWED = {
    ("subscriptions", "pg_stat_get_subscription(NULL::oid)"): (
        "the view's own join up to 14; subscriptions and their workers are few"
    ),
    ("replicas", "pg_stat_get_wal_senders()"): "the view's own join; walsenders are few",
    ("replicas", "pg_get_replication_slots()"): "walsenders and slots are few",
    ("vacuums", "pg_stat_get_activity(NULL::integer)"): "running vacuums are few",
    ("indexes", "pg_constraint"): "by hash: how large both catalogs are is no guess",
    ("extended_statistics", "pg_mcv_list_items(sd.stxdmcv)"): "the view's own, for each list once",
    ("system", "pg_control_checkpoint()"): "one row each",
}
# A function over a column of the outer row is called for that row's part alone.
_OF_THE_ROW = re.compile(
    r"\b(unnest|generate_series|regexp_matches|pg_stat_file|pg_stat_get_subscription_stats|pg_stat_get_backend_subxact|pg_stat_get_replication_slot)\(.*\w\.\w"
)
_FUNCTIONS = frozenset({"Function Scan", "Table Function Scan", "CTE Scan"})
# What is empty on most servers, or has a few rows on any, may be read whole.
_CATALOGS = frozenset(
    (
        *("pg_class", "pg_index", "pg_attribute", "pg_depend", "pg_type", "pg_collation"),
        *("pg_statistic", "pg_constraint", "pg_attrdef", "pg_proc"),
    )
)


@dataclass(frozen=True, slots=True)
class Rescan:
    """A scan that is run for each row of something else."""

    what: str
    within: str

    def __str__(self) -> str:
        return f"{self.what} again for each row of {self.within}"


@pytest.fixture(scope="module")
def animals(every_pg: Server) -> Iterator[str]:
    with zoo(every_pg) as dsn:
        # what the planner does where it expects a handful, and with indexes as where catalogs are large
        yield make_conninfo(
            dsn, options="-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
        )


def test_no_query_scans_a_function_for_each_row_of_another(every_pg: Server, animals: str) -> None:
    found: dict[str, list[str]] = {}
    with reading(animals, CollectLimits(), None) as reader:
        installed = reader.run("versions", b"select extname, extversion from pg_extension")
        assert isinstance(installed, tuple)
        version = dict(installed)
        for query in queries.all_queries():
            if query not in queries.fitting(query.fact, every_pg.version, version):
                continue
            try:
                plan = _plan(reader, query)
            except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
                assert query != queries.choose(query.fact, every_pg.version, version)
                continue
            bad = [r for r in _rescans(plan, str(plan)) if (query.fact, r.what) not in ALLOWED]
            found |= {query.file: sorted(map(str, bad))} if bad else {}
    assert not found


def test_neither_does_a_query_of_the_advisor(every_pg: Server, animals: str) -> None:
    found: dict[str, list[str]] = {}
    with reading(animals, CollectLimits(), None) as reader:
        for file in sorted((assets.asset("sql") / "whatif").glob("*.sql")):
            text = (
                file.read_text(encoding="utf-8")
                .replace("@deduplicates@", "true")
                .replace("@expressions@", "null")
            )
            if "%(" in text:
                continue  # asked for one table
            plan = _explained(reader, text)
            bad = [r for r in _rescans(plan, str(plan)) if (file.stem, r.what) not in ALLOWED]
            found |= {file.name: sorted(map(str, bad))} if bad else {}
    assert not found


def test_the_test_sees_a_join_of_what_a_function_returns(animals: str) -> None:
    joined = """
        with c as materialized (select * from public.pg_stat_statements(false) where dbid = 1),
            t as materialized (select * from public.pg_stat_statements(true) where dbid = 1)
        select (select count(*) from c o where o.userid = c.userid)
        from c left join t on t.queryid = c.queryid and t.userid = c.userid"""
    with reading(animals, CollectLimits(), None) as reader:
        plan = _explained(reader, joined)
    assert {r.what for r in _rescans(plan, str(plan))} == {"c", "t"}


def _plan(reader: Reader, query: QueryFile) -> Node:
    values = {f.name: str(getattr(reader.limits, f.name)) for f in fields(CollectLimits)}
    values |= {"extschema": "public", "oids": "1,2,3", "query_ids": "1,2,3"}
    return _explained(reader, query.render(values))


def _explained(reader: Reader, text: str) -> Node:
    rows = reader.run("plan", b"explain (verbose, format json) " + text.encode())
    assert isinstance(rows, tuple)
    plan: Node = rows[0][0][0]["Plan"]
    return plan


def _rescans(node: Node, whole: str, within: str = "") -> Iterator[Rescan]:
    """Yield what is scanned again, in the plan below a node that is itself run for each of ``within``."""
    if within and _grows(node):
        yield Rescan(_name(node), within)
    for child in node.get("Plans", ()):
        yield from _rescans(child, whole, _context(node, child, whole, within))


def _grows(node: Node) -> bool:
    if node["Node Type"] == "Seq Scan":
        return node["Relation Name"] in _CATALOGS
    return node["Node Type"] in _FUNCTIONS and not _OF_THE_ROW.search(_name(node))


def _context(node: Node, child: Node, whole: str, within: str) -> str:
    """Name that for each row of which a node's child is run, if it is."""
    relation, name = child.get("Parent Relationship"), child.get("Subplan Name", "")
    if relation == "SubPlan" and f"hashed {name}" in whole:
        return ""  # read once, wherever it stands
    if relation == "SubPlan":
        return f"{node['Node Type']} ({name})"
    if relation == "Inner" and node["Node Type"] == "Nested Loop":
        outer = node["Plans"][0]
        is_one_row = outer["Node Type"] == "Result" and "Plans" not in outer
        return within if is_one_row else _name(outer)
    return within


def _name(node: Node) -> str:
    named = ("Function Call", "CTE Name", "Relation Name", "Node Type")
    return str(next(node[n] for n in named if n in node))
