"""Snapshots with only what concerns some tables, read one after another: what did not change is decoded once."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.facts.columns import WantedRows
from pgwatch_wed.history import blobs, snapshots
from pgwatch_wed.history.snapshots import StoredSnapshot

OF_SERVER = (
    *("settings", "role_settings", "extensions", "databases", "checkpoints", "wal", "archiver"),
    "slru",
)
_OF_TABLES = ("columns", "indexes", "constraints", "extended_statistics")


class AboutTables:
    """Reads snapshots in the order of time; ``oids`` are the tables, which go on under their names."""

    def __init__(self, connection: sa.Connection, oids: Iterable[int]) -> None:
        self._connection = connection
        self._oids = frozenset(oids)
        self._names: frozenset[tuple[str, str]] = frozenset()
        self._last: dict[tuple[str, str], tuple[str, Hashable, tuple[Any, ...]]] = {}

    def read(self, stored: StoredSnapshot) -> Snapshot:
        """Return a snapshot with what concerns the tables."""
        addresses = snapshots.addresses(self._connection, stored)
        own = self._followed(addresses)
        mine = frozenset(t.oid for t in own)
        of_table = ("table_oid",)
        facts: dict[str, Any] = {
            name: self._rows(name, addresses, of_table, mine) for name in _OF_TABLES
        }
        indexes = frozenset(i.oid for i in facts["indexes"])
        facts["table_activity"] = self._rows("table_activity", addresses, ("oid",), mine)
        facts["index_definitions"] = self._rows("index_definitions", addresses, ("oid",), indexes)
        named = [*(t.parent_oid for t in own), *(c.referenced_oid for c in facts["constraints"])]
        others = frozenset(oid for oid in named if oid is not None and oid not in mine)
        facts["tables"] = (*own, *self._rows("tables", addresses, ("oid",), others))
        return replace(snapshots.read(self._connection, stored, OF_SERVER), **facts)

    def _followed(self, addresses: Mapping[str, str]) -> tuple[Table, ...]:
        """Return the tables; one that was created again under its name is one of them."""
        oids, names = self._oids, self._names
        where = WantedRows(("oid", "schema", "name"), lambda o, s, n: o in oids or (s, n) in names)
        own: tuple[Table, ...] = self._kept("followed", "tables", addresses, where, (oids, names))
        self._names |= {(t.schema, t.name) for t in own}
        self._oids |= {t.oid for t in own}
        return own

    def _rows(
        self, name: str, addresses: Mapping[str, str], field: tuple[str], oids: frozenset[int]
    ) -> tuple[Any, ...]:
        if not oids:
            return ()
        return self._kept("", name, addresses, WantedRows(field, oids.__contains__), oids)

    def _kept(
        self, use: str, name: str, addresses: Mapping[str, str], where: WantedRows, wanted: Hashable
    ) -> tuple[Any, ...]:
        """Read rows, unless the last ones were the same."""
        address = addresses.get(name)
        if address is None:
            return ()
        known = self._last.get((use, name))
        if known is not None and known[:2] == (address, wanted):
            return known[2]
        rows = blobs.get_rows(self._connection, address, name, where)
        self._last[use, name] = (address, wanted, rows)
        return rows
