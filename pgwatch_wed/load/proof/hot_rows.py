"""The probe of a hot row: each client gets copies of the rows that all of them update."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pglast
from pglast import ast

from pgwatch_wed.load.load_model import LoadScript, Order
from pgwatch_wed.load.proof.load_probes import NotTriedError, ProbeLever
from pgwatch_wed.load.proof.proof_bench import ProofBench
from pgwatch_wed.quote import ident

_SET = re.compile(r"^\s*\\set\s+(\w+)\s+(.+?)\s*$", re.MULTILINE)
_RANDOM = re.compile(r"random\s*\(([^,()]+),([^,()]+)\)\Z", re.IGNORECASE)
_PRODUCT = re.compile(r"\s*(\d+)\s*(?:\*\s*(\d+)\s*)?\Z")
_VARIABLE = re.compile(r"(?<![:\w]):(\w+)")
_META = re.compile(r"^\s*\\.*$", re.MULTILINE)
_FEW = 4  # rows a client: more are not hot
_MOST_ROWS = 20_000
_KEY = """
select n.nspname, c.relname, a.attname,
    (select count(*) from pg_catalog.pg_index u where u.indrelid = c.oid and u.indisunique),
    case when a.atttypid = 'int4'::regtype then 2147483647 else 9223372036854775807 end,
    array(select o.attname from pg_catalog.pg_attribute o where o.attrelid = c.oid and o.attnum > 0
        and not o.attisdropped and o.attgenerated = '' and o.attnum <> a.attnum order by o.attnum)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisunique and i.indnkeyatts = 1 and i.indpred is null
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
where c.oid = pg_catalog.to_regclass(%s) and a.attname = %s and a.atttypid in ('int4'::regtype, 'int8'::regtype)
"""


@dataclass(frozen=True, slots=True)
class HotUpdate:
    """An UPDATE of a script that all clients direct at few rows: those with keys from ``low`` to ``high``."""

    table: str
    column: str
    low: int
    high: int
    text: str  # of the statement in the script
    value: str  # the key in it, as it is written


def hot_updates(scripts: Iterable[LoadScript], clients: int) -> tuple[HotUpdate, ...]:
    """Return the updates that several clients direct at the same few rows."""
    return tuple(dict.fromkeys(u for s in scripts for u in _updates(s, clients)))


def _updates(script: LoadScript, clients: int) -> Iterator[HotUpdate]:
    ranges = {name: r for name, text in _SET.findall(script.text) if (r := _range(text))}
    for text in _META.sub("", script.text).split(";"):
        found = _key_of(text)
        if found is None:
            continue
        table, column, value = found
        r = ranges.get(value[1:]) if value.startswith(":") else (int(value), int(value))
        if r is not None and 0 <= r[1] - r[0] < _FEW * clients:
            yield HotUpdate(table, column, *r, text.strip(), value)


def _range(text: str) -> tuple[int, int] | None:
    match = _RANDOM.match(text)
    bounds = [_number(match[1]), _number(match[2])] if match else [_number(text)] * 2
    return None if None in bounds else (bounds[0] or 0, bounds[1] or 0)


def _number(text: str) -> int | None:
    match = _PRODUCT.match(text)
    return int(match[1]) * int(match[2] or 1) if match else None


def _key_of(text: str) -> tuple[str, str, str] | None:
    """Return table, column and value of ``update … where column = value``; None for anything else."""
    names = list(dict.fromkeys(_VARIABLE.findall(text)))
    plain = _VARIABLE.sub(lambda m: f"${names.index(m[1]) + 1}", text)
    try:
        statements = pglast.parse_sql(plain)
    except pglast.parser.ParseError:
        return None
    if len(statements) != 1 or not isinstance(statements[0].stmt, ast.UpdateStmt):
        return None
    update = statements[0].stmt
    where, relation = update.whereClause, update.relation
    if not (isinstance(where, ast.A_Expr) and isinstance(where.lexpr, ast.ColumnRef)):
        return None
    if not where.name or where.name[0].sval != "=" or update.fromClause or relation is None:
        return None
    table = ident(*filter(None, (relation.schemaname, relation.relname)))  # as it is written
    assert where.lexpr.fields
    column = str(where.lexpr.fields[-1].sval)
    if isinstance(where.rexpr, ast.ParamRef) and where.rexpr.number:
        return table, column, f":{names[where.rexpr.number - 1]}"
    if isinstance(where.rexpr, ast.A_Const) and isinstance(where.rexpr.val, ast.Integer):
        return table, column, str(where.rexpr.val.ival)
    return None


def spreading(bench: ProofBench, order: Order) -> ProbeLever:
    """Rows of its own for each client, instead of those that all of them update."""
    updates = hot_updates(order.scripts, order.clients)
    if not updates:
        raise NotTriedError("no statement of the scripts updates few rows by their key")
    set_up: dict[str, None] = {}
    clean_up: dict[str, None] = {}
    strides: dict[HotUpdate, int] = {}
    for update in updates:
        copies, removal, strides[update] = _copies(bench, update, order.clients)
        set_up[copies], clean_up[removal] = None, None
    return ProbeLever(
        set_up=tuple(set_up),
        clean_up=tuple(clean_up),
        changed=lambda o: replace(o, scripts=tuple(_spread(s, strides) for s in o.scripts)),
    )


def _copies(bench: ProofBench, update: HotUpdate, clients: int) -> tuple[str, str, int]:
    rows = bench.rows(_KEY, [update.table, update.column])
    if not rows:
        raise NotTriedError(f"{update.table} has no unique key {ident(update.column)} of integers")
    schema, name, column, uniques, most, others = rows[0]
    if uniques > 1:
        raise NotTriedError(f"{update.table} has more than one unique key")
    if (update.high - update.low + 1) * clients > _MOST_ROWS:
        raise NotTriedError(f"too many rows of {update.table} would have to be copied")
    label, key = ident(schema, name), ident(column)
    low, high = bench.rows(f"select min({key}), max({key}) from {label}")[0]
    if low is None:
        raise NotTriedError(f"{update.table} is empty")
    stride = int(high) - int(low) + 1
    last = int(high) + clients * stride
    if last > int(most):
        raise NotTriedError(f"{update.table} has no free keys")
    rest = "".join(f", {ident(c)}" for c in others)
    values = "".join(f", t.{ident(c)}" for c in others)
    copies = (
        f"insert into {label} ({key}{rest}) overriding system value"
        f" select t.{key} + c * {stride}::bigint{values} from {label} t cross join pg_catalog.generate_series(1, {clients}) c"
        f" where t.{key} between {update.low} and {update.high}"
    )
    return copies, f"delete from {label} where {key} > {high} and {key} <= {last}", stride


def _spread(script: LoadScript, strides: dict[HotUpdate, int]) -> LoadScript:
    text = script.text
    for update, stride in strides.items():
        head, where, tail = update.text.rpartition(update.value)
        own = f"({where}::bigint + (:client_id + 1) * {stride})"
        text = text.replace(update.text, f"{head}{own}{tail}")
    return replace(script, text=text)
