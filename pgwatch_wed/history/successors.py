"""What an object of an earlier snapshot is called now: a finding about a renamed table is the same finding.

The fingerprint of a finding is made of names. Where both snapshots are known, oids tell which names changed.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.facts.counting import COUNTERS
from pgwatch_wed.findings import Object
from pgwatch_wed.history.pairing import Pairing, paired
from pgwatch_wed.sqltext.statement_link import statement_keys

Successor = Callable[[Object], Object | None]
"""Returns what an object is called now; None if it no longer exists."""

_Name = tuple[str | None, str]


def successors(olds: Sequence[Snapshot], news: Sequence[Snapshot]) -> Successor:
    """Return what tells the present name of an object that a finding of the first snapshots is about."""
    names = {old.server.database: _Renamed(paired(old, new)) for old, new in matched(olds, news)}
    first = next(iter(names.values()), None)

    def successor(given: Object) -> Object | None:
        mine = names.get(given.database or "", first)
        return given if mine is None else mine.now(given)

    return successor


def renamed_database(olds: Iterable[str], news: Iterable[str]) -> Successor:
    """Return the same where only the names of the databases are known: a single one may have been renamed."""
    before, after = tuple(olds), tuple(news)
    is_renamed = len(before) == len(after) == 1 and before != after

    def successor(given: Object) -> Object:
        if not is_renamed or given.database != before[0]:
            return given
        return _of_database(given, after[0])

    return successor


def _of_database(given: Object, name: str) -> Object:
    is_itself = given.kind == "database" and given.name == given.database
    return replace(given, database=name, name=name if is_itself else given.name)


def matched(olds: Sequence[Snapshot], news: Sequence[Snapshot]) -> list[tuple[Snapshot, Snapshot]]:
    """Return the snapshots of the same database, by name or oid; a single one is compared with a single one."""
    if len(olds) == len(news) == 1:
        return [(olds[0], news[0])]
    by_oid = {s.server.database_oid: s for s in news}
    by_name = {s.server.database: s for s in news}
    pairs = []
    for old in olds:
        new = by_name.get(old.server.database) or by_oid.get(old.server.database_oid)
        if new is not None:
            pairs.append((old, new))
    return pairs


def in_new_names(pairing: Pairing) -> Callable[[str], str]:
    """Return what replaces the former names of tables in a statement of the first snapshot."""
    return _Renamed(pairing).in_new_names


@dataclass(frozen=True)
class _Renamed:
    """The present names of the objects of one database."""

    pairing: Pairing

    def now(self, given: Object) -> Object | None:
        """Return what an object is called now."""
        here = self.pairing.new.server.database
        if given.database is not None:
            found = self._in_database(given)
            return None if found is None else _of_database(found, here)
        if given.kind == "database" and given.name == self.pairing.old.server.database:
            return replace(given, name=here)
        return given

    def _in_database(self, given: Object) -> Object | None:
        match given.kind:
            case "index":
                return self._index(given)
            case "sequence":
                return self._moved(given, self._sequences)
            case "column":
                return self._column(given)
            case "constraint":
                return self._constraint(given)
            case "statement":
                return self._statement(given)
        return self._of_table(given)

    # --- relations ----------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> Mapping[_Name, _Name | None]:
        return self._now("tables", self.pairing.tables)

    @cached_property
    def _indexes(self) -> Mapping[_Name, _Name | None]:
        return self._now("indexes", self.pairing.indexes)

    @cached_property
    def _sequences(self) -> Mapping[_Name, _Name | None]:
        return self._now("sequences", self.pairing.sequences)

    def _now(self, fact: str, pairs: Mapping[int, int]) -> Mapping[_Name, _Name | None]:
        """Map names to those of today; None if it is certain that the object is gone."""
        new = {row.oid: (row.schema, row.name) for row in getattr(self.pairing.new, fact)}
        is_whole = self.pairing.is_whole(fact)
        found: dict[_Name, _Name | None] = {}
        for row in getattr(self.pairing.old, fact):
            name = (row.schema, row.name)
            found[name] = new.get(pairs.get(row.oid, -1), None if is_whole else name)
        return found

    def _moved(self, given: Object, names: Mapping[_Name, _Name | None]) -> Object | None:
        key = (given.schema, given.name)
        if key not in names:
            return given
        found = names[key]
        return None if found is None else replace(given, schema=found[0], name=found[1])

    def _index(self, given: Object) -> Object | None:
        """Return an index; one that is only advised is called after its table."""
        table = self._tables.get((given.schema, given.table or ""))
        if (given.schema, given.name) in self._indexes:
            found = self._moved(given, self._indexes)
            if found is None or table is None:
                return found
            return replace(found, table=table[1])
        return self._of_table(given)

    def _of_table(self, given: Object) -> Object | None:
        """Return a table, or what belongs to one and may be called after it."""
        key = (given.schema, given.table or "")
        if given.table is None or key not in self._tables:
            return given
        found = self._tables[key]
        if found is None:
            return None
        name = given.name
        if name == given.table or name.startswith((f"{given.table}_", f"{given.table}.")):
            name = found[1] + name[len(given.table) :]
        return replace(given, schema=found[0], table=found[1], name=name)

    def _old_table(self, given: Object) -> Table | None:
        named = self.pairing.old.tables_named[given.table or ""]
        return next((t for t in named if t.schema == given.schema), None)

    def _column(self, given: Object) -> Object | None:
        found, table = self._of_table(given), self._old_table(given)
        if found is None or table is None:
            return found
        old, new = self.pairing.old, self.pairing.new
        name = given.name.removeprefix(f"{table.name}.")
        column = next((c for c in old.columns_of[table.oid] if c.name == name), None)
        now = self.pairing.tables.get(table.oid)
        if now is None or column is None or now != table.oid or self.pairing.by_name:
            return found
        again = new.column_by_key.get((now, column.attnum))
        return None if again is None else replace(found, name=f"{found.table}.{again.name}")

    def _constraint(self, given: Object) -> Object | None:
        found, table = self._of_table(given), self._old_table(given)
        if found is None or table is None or not self.pairing.is_same_server:
            return found
        mine = self.pairing.old.constraints_of[table.oid]
        oid = next((c.oid for c in mine if c.name == given.name), None)
        theirs = self.pairing.new.constraints_of[self.pairing.tables.get(table.oid, -1)]
        again = next((c for c in theirs if c.oid == oid), None)
        return replace(found, name=again.name if again else given.name)

    # --- statements ---------------------------------------------------------------------------

    def _statement(self, given: Object) -> Object | None:
        """Return a statement by the key of its text, in which renamed tables have their new names."""
        if self.pairing.is_same_server and given.name in self._present:
            return given
        now = self._links.get(given.name)
        return given if now is None else replace(given, name=now)

    @cached_property
    def _present(self) -> frozenset[str]:
        return frozenset(str(s.query_id) for s in self.pairing.new.statements)

    @cached_property
    def _links(self) -> Mapping[str, str]:
        """Map query IDs of the first snapshot to those of the second."""
        new = {key: str(id_) for id_, key in _keys(self.pairing.new, str).items()}
        old = _keys(self.pairing.old, self.in_new_names)
        return {str(id_): new[key] for id_, key in old.items() if key in new}

    def in_new_names(self, text: str) -> str:
        """Replace the former names of tables in a statement."""
        if self._new_names is None:
            return text
        pattern, names = self._new_names
        return pattern.sub(lambda match: names[match[0]], text)

    @cached_property
    def _new_names(self) -> tuple[re.Pattern[str], Mapping[str, str]] | None:
        moved = {
            was: now[1]
            for (_, was), now in self._tables.items()
            if now is not None and now[1] != was
        }
        if not moved:
            return None
        any_of = "|".join(map(re.escape, sorted(moved, key=len, reverse=True)))
        return re.compile(rf'(?<![\w$"])(?:{any_of})(?![\w$"])'), moved


def _keys(snapshot: Snapshot, renamed: Callable[[str], str]) -> dict[int, str]:
    statements = tuple(
        s if s.text is None else replace(s, text=renamed(s.text)) for s in snapshot.statements
    )
    given = replace(snapshot, statements=statements)
    keys = statement_keys(given, "")
    return {s.query_id: keys[COUNTERS["statements"].key_of(s)] for s in statements if s.text}
