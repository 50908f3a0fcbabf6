"""Probes that build an index for the blocks without the cause, or make one absent."""

import hashlib
from collections.abc import Iterable

import pglast
from pglast import ast
from pglast.stream import RawStream

from pgwatch_wed.findings import Remedy
from pgwatch_wed.load.load_model import Order
from pgwatch_wed.load.proof.load_probes import NotTriedError, PreparedLever, ProbeLever
from pgwatch_wed.load.proof.proof_bench import ProofBench
from pgwatch_wed.load.proof.table_levers import estimates
from pgwatch_wed.load.proof.undo_journal import PREFIX
from pgwatch_wed.quote import ident, literal

_DEFINITION = """
select pg_catalog.pg_get_indexdef(i.indexrelid),
    i.indisunique or i.indisreplident or i.indisclustered
        or exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid),
    c.relispartition or c.relkind <> 'i', pg_catalog.obj_description(c.oid, 'pg_class'), t.relname
from pg_catalog.pg_index i
join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s
"""


def index_definitions(remedy: Iterable[Remedy]) -> tuple[str, ...]:
    """Return the indexes that a remedy builds, each under a name of ours, as plain CREATE INDEX."""
    return tuple(dict.fromkeys(text for step in remedy for text in _definitions(step.sql)))


def _definitions(text: str) -> Iterable[str]:
    try:
        statements = pglast.parse_sql(text)
    except pglast.parser.ParseError:
        return
    for raw in statements:
        statement = raw.stmt
        if not isinstance(statement, ast.IndexStmt):
            continue
        statement.concurrent = False
        statement.if_not_exists = False
        statement.idxname = PREFIX
        # another index may remain from an earlier step
        name = hashlib.sha256(RawStream()(statement).encode()).hexdigest()[:8]
        statement.idxname = f"{PREFIX}{name}"
        yield RawStream()(statement)


def index_lever(definitions: tuple[str, ...]) -> PreparedLever:
    """Return what builds indexes for the blocks without the cause, and drops them for the others."""

    def lever(bench: ProofBench, _order: Order) -> ProbeLever:
        if not definitions:
            raise NotTriedError("no index was advised for it")
        undo: dict[str, None] = {}
        for text in definitions:
            schema, table, name = _place(bench, text)
            undo[f"drop index {ident(schema, name)}"] = None
            undo |= dict.fromkeys(estimates(bench, schema, table))
        return ProbeLever(take_away=definitions, put_back=tuple(undo))

    return lever


def _statement(text: str) -> ast.IndexStmt:
    statement = pglast.parse_sql(text)[0].stmt
    assert isinstance(statement, ast.IndexStmt)
    return statement


def _place(bench: ProofBench, text: str) -> tuple[str, str, str]:
    """Return the schema and the table of an index, and its name."""
    statement = _statement(text)
    relation = statement.relation
    assert relation is not None
    return _schema(bench, relation), str(relation.relname), str(statement.idxname)


def _schema(bench: ProofBench, relation: ast.RangeVar) -> str:
    if relation.schemaname:
        return str(relation.schemaname)
    found = bench.one(
        "select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
        " where c.oid = pg_catalog.to_regclass(%s)",
        [ident(str(relation.relname))],
    )
    if found is None:
        raise NotTriedError(f"the table {relation.relname} does not exist here")
    return str(found)


def absent_index_lever(schema: str, name: str) -> PreparedLever:
    """Return what drops an index for the blocks without the cause, and builds it again for the others."""

    def lever(bench: ProofBench, _order: Order) -> ProbeLever:
        rows = bench.rows(_DEFINITION, [schema, name])
        if not rows:
            raise NotTriedError("the index does not exist here")
        definition, is_needed, is_part, comment, table = rows[0]
        if is_needed:
            raise NotTriedError("the index enforces or identifies something")
        if is_part:
            raise NotTriedError("the index belongs to a partitioned table")
        again = [str(definition)]
        if comment is not None:
            again.append(f"comment on index {ident(schema, name)} is {literal(str(comment))}")
        again += estimates(bench, schema, table)
        return ProbeLever(take_away=(f"drop index {ident(schema, name)}",), put_back=tuple(again))

    return lever
