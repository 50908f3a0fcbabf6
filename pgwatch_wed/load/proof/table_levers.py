"""Probes of a table: fresh statistics, and a rebuilt copy of it that takes its name.

Old statistics are parked under an OID that no relation has, and come back byte by byte: nothing is written as text.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.load.load_model import Order
from pgwatch_wed.load.proof.load_probes import NotTriedError, PreparedLever, ProbeLever
from pgwatch_wed.load.proof.proof_bench import ProofBench
from pgwatch_wed.load.proof.undo_journal import PREFIX
from pgwatch_wed.quote import ident, literal

_PARKED = 1 << 31  # OIDs are given from below; nothing has one this high
_SUPERUSER = "select rolsuper from pg_catalog.pg_roles where rolname = current_user"
# the table, its partitions, and the indexes of all of them: ANALYZE writes to each
_RELATIONS = """
with recursive tree as (
    select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p', 'm')
    union all
    select i.inhrelid from pg_catalog.pg_inherits i join tree t on t.oid = i.inhparent
), all_of_it as (
    select oid from tree union all select i.indexrelid from pg_catalog.pg_index i join tree t on t.oid = i.indrelid
)
select c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_catalog.to_jsonb(c) - 'relacl',
    (select o.option_value from pg_catalog.pg_options_to_table(c.reloptions) o
     where o.option_name = 'autovacuum_enabled') as autovacuum,
    array(select s.oid::bigint from pg_catalog.pg_statistic_ext s where s.stxrelid = c.oid) as extended
from all_of_it a
join pg_catalog.pg_class c on c.oid = a.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
order by c.oid
"""
_ESTIMATES = ("relpages", "reltuples", "relallvisible", "relallfrozen")
_ONE_ROW_AN_OBJECT = """
select not exists (select from pg_catalog.pg_attribute
    where attrelid = 'pg_catalog.pg_statistic_ext_data'::pg_catalog.regclass and attname = 'stxdinherit')
"""
_WHY_NO_TWIN = """
select case
    when c.relkind <> 'r' then 'it is not an ordinary table'
    when c.relispartition or exists (select from pg_catalog.pg_inherits i where c.oid in (i.inhrelid, i.inhparent))
        then 'it is part of a partitioned table'
    when exists (select from pg_catalog.pg_constraint k where k.contype = 'f' and c.oid in (k.conrelid, k.confrelid))
        then 'it has foreign keys, or other tables refer to it'
    when exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)
        then 'it has triggers'
    when c.relrowsecurity then 'it has row-level security'
    when exists (select from pg_catalog.pg_depend d where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        and d.refobjid = c.oid and d.classid in ('pg_catalog.pg_rewrite'::pg_catalog.regclass,
        'pg_catalog.pg_proc'::pg_catalog.regclass)) then 'views or functions depend on it'
    when exists (select from pg_catalog.pg_publication_rel p where p.prrelid = c.oid) then 'it is published'
    when exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attacl is not null)
        then 'there are privileges on its columns'
end, pg_catalog.pg_total_relation_size(c.oid), c.relpersistence = 'u', pg_catalog.pg_get_userbyid(c.relowner),
array_to_string(c.reloptions, ', '),
array(select a.attname from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    and a.attgenerated = '' order by a.attnum),
array(select a.attname from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attidentity <> '' and not a.attisdropped)
from pg_catalog.pg_class c where c.oid = %s
"""
_MOST_BYTES = 10 * 1024**3


@dataclass(frozen=True, slots=True)
class _Relation:
    oid: int
    schema: str
    name: str
    kind: str
    row: dict[str, Any]
    autovacuum: str | None
    extended: list[int]

    @property
    def label(self) -> str:
        return ident(self.schema, self.name)

    @property
    def is_stored(self) -> bool:
        return self.kind in ("r", "m")


def statistics_lever(schema: str, name: str) -> PreparedLever:
    """Return what analyzes a table for the blocks without the cause, and brings its old statistics back for the others."""

    def lever(bench: ProofBench, _order: Order) -> ProbeLever:
        found = _relations(bench, schema, name)
        if _is_parked(bench, found):
            raise NotTriedError("its statistics are new already")
        blank = bool(bench.one(_ONE_ROW_AN_OBJECT))
        return ProbeLever(
            set_up=tuple(_without_autovacuum(found)),
            take_away=(*_park(found, blank=blank), f"analyze {ident(schema, name)}"),
            put_back=tuple(_unpark(found)),
            clean_up=tuple(_with_autovacuum(found)),
        )

    return lever


def rebuild_lever(schema: str, name: str) -> PreparedLever:
    """Return what puts a rebuilt copy in a table's place. Both are analyzed, so that only their layout differs."""

    def lever(bench: ProofBench, _order: Order) -> ProbeLever:
        found = _relations(bench, schema, name)
        table = next(r for r in found if (r.schema, r.name) == (schema, name))
        facts = bench.rows(_WHY_NO_TWIN, [table.oid])[0]
        _check_twin(bench, table, facts)
        twin, parked = f"{PREFIX}new_{table.oid}", f"{PREFIX}old_{table.oid}"
        blank = bool(bench.one(_ONE_ROW_AN_OBJECT))
        # an earlier step may have put the old statistics aside, and brings them back in the end
        parks = not _is_parked(bench, found)
        return ProbeLever(
            set_up=(
                *_without_autovacuum(found),
                *(_park(found, blank=blank) if parks else ()),
                f"analyze {table.label}",
                *_build_twin(table, twin, facts),
            ),
            after_set_up=(f"vacuum (analyze) {ident(schema, twin)}",),
            take_away=(
                f"alter table {table.label} rename to {ident(parked)}",
                f"alter table {ident(schema, twin)} rename to {ident(name)}",
            ),
            put_back=(
                f"alter table {table.label} rename to {ident(twin)}",
                f"alter table {ident(schema, parked)} rename to {ident(name)}",
            ),
            clean_up=(
                f"drop table {ident(schema, twin)}",
                *(_unpark(found) if parks else ()),
                *_with_autovacuum(found),
            ),
        )

    return lever


def estimates(bench: ProofBench, schema: str, name: str) -> tuple[str, ...]:
    """Return what sets a table's estimated size, which CREATE INDEX writes anew, to what it is now.

    Only a superuser can do that; without it, the difference is small.
    """
    if not bench.one(_SUPERUSER):
        return ()
    return tuple(_with_estimates(r) for r in _relations(bench, schema, name) if r.is_stored)


def _with_estimates(one: _Relation) -> str:
    values = [f"{name} = {one.row[name]}" for name in _ESTIMATES if name in one.row]
    return f"update pg_catalog.pg_class set {', '.join(values)} where oid = {one.oid}"


def _relations(bench: ProofBench, schema: str, name: str) -> list[_Relation]:
    if not bench.one(_SUPERUSER):
        raise NotTriedError("bringing old statistics back requires a superuser")
    found = [_Relation(*row) for row in bench.rows(_RELATIONS, [schema, name])]
    if not found:
        raise NotTriedError(f"the table {ident(schema, name)} does not exist here")
    return found


def _check_twin(bench: ProofBench, table: _Relation, facts: tuple[Any, ...]) -> None:
    why, size = facts[0], int(facts[1])
    if why is not None:
        raise NotTriedError(f"{table.label} cannot be replaced by a copy: {why}")
    folder = bench.ground.data_directory
    room = shutil.disk_usage(folder).free / 4 if folder is not None else _MOST_BYTES
    if size > min(room, _MOST_BYTES):
        raise NotTriedError(f"{table.label} is too large to be copied: {units.size(size)}")


def _build_twin(table: _Relation, twin: str, facts: tuple[Any, ...]) -> Iterator[str]:
    _, _, is_unlogged, owner, options, columns, identities = facts
    new, names = ident(table.schema, twin), ", ".join(map(ident, columns))
    kind = "unlogged table" if is_unlogged else "table"
    yield f"create {kind} {new} (like {table.label} including all)" + (
        f" with ({options})" if options else ""
    )
    yield f"alter table {new} owner to {ident(owner)}"
    yield (
        "update pg_catalog.pg_class c set relacl = o.relacl from pg_catalog.pg_class o"
        f" where o.oid = {table.oid} and c.oid = {_regclass(new)}"
    )
    yield "set local synchronize_seqscans = off"
    yield (f"insert into {new} ({names}) overriding system value select {names} from {table.label}")
    for column in identities:
        yield (
            f"select pg_catalog.setval(pg_catalog.pg_get_serial_sequence({literal(new)}, {literal(column)}),"
            f" greatest(max({ident(column)}), 1)) from {new}"
        )
    yield f"alter table {new} set (autovacuum_enabled = off)"


def _regclass(label: str) -> str:
    return f"{literal(label)}::pg_catalog.regclass"


def _without_autovacuum(found: list[_Relation]) -> Iterator[str]:
    """Neither kind of block may be analyzed or vacuumed while the other runs."""
    for one in found:
        if one.is_stored:
            yield f"alter table {one.label} set (autovacuum_enabled = off)"


def _with_autovacuum(found: list[_Relation]) -> Iterator[str]:
    for one in found:
        if not one.is_stored:
            continue
        if one.autovacuum is None:
            yield f"alter table {one.label} reset (autovacuum_enabled)"
        else:
            yield f"alter table {one.label} set (autovacuum_enabled = {literal(one.autovacuum)})"


def _is_parked(bench: ProofBench, found: list[_Relation]) -> bool:
    oids = [one.oid ^ _PARKED for one in found]
    return bool(
        bench.one(
            "select exists (select from pg_catalog.pg_statistic where starelid = any (%s::oid[]))",
            [oids],
        )
    )


def _park(found: list[_Relation], *, blank: bool) -> Iterator[str]:
    """Put statistics aside. ``blank``: ANALYZE expects a row for each statistics object."""
    for one in found:
        yield from _moved("pg_statistic", "starelid", one.oid, one.oid ^ _PARKED)
        for oid in one.extended:
            yield from _moved("pg_statistic_ext_data", "stxoid", oid, oid ^ _PARKED)
            if blank:
                yield f"insert into pg_catalog.pg_statistic_ext_data (stxoid) values ({oid})"


def _unpark(found: list[_Relation]) -> Iterator[str]:
    for one in found:
        yield f"delete from pg_catalog.pg_statistic where starelid = {one.oid}"
        yield from _moved("pg_statistic", "starelid", one.oid ^ _PARKED, one.oid)
        for oid in one.extended:
            yield f"delete from pg_catalog.pg_statistic_ext_data where stxoid = {oid}"
            yield from _moved("pg_statistic_ext_data", "stxoid", oid ^ _PARKED, oid)
        yield _with_estimates(one)


def _moved(table: str, key: str, old: int, new: int) -> Iterator[str]:
    yield f"update pg_catalog.{table} set {key} = {new}::oid where {key} = {old}::oid"
