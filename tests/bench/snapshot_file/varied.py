"""A snapshot of 10,000 tables whose names, sizes and counters follow no rule, made from one that is regular.

``python -m tests.bench.snapshot_file.varied FROM TO`` gives objects of the snapshot FROM other names and numbers and writes TO.
Names are of one to three words of 170, columns are named after words, and indexes and constraints after them as people and tools do.
"""

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file

_WORDS = [
    "account",
    "address",
    "agent",
    "alert",
    "amount",
    "answer",
    "archive",
    "article",
    "asset",
    "audit",
    "batch",
    "billing",
    "booking",
    "branch",
    "budget",
    "bundle",
    "campaign",
    "carrier",
    "cart",
    "catalog",
    "category",
    "channel",
    "charge",
    "claim",
    "client",
    "comment",
    "company",
    "contact",
    "contract",
    "country",
    "coupon",
    "course",
    "credit",
    "currency",
    "customer",
    "delivery",
    "deposit",
    "device",
    "discount",
    "document",
    "domain",
    "driver",
    "email",
    "employee",
    "entry",
    "event",
    "expense",
    "export",
    "feature",
    "feedback",
    "file",
    "filter",
    "folder",
    "forecast",
    "group",
    "history",
    "holiday",
    "hotel",
    "image",
    "import",
    "invoice",
    "item",
    "journal",
    "key",
    "label",
    "language",
    "ledger",
    "lesson",
    "license",
    "limit",
    "line",
    "link",
    "list",
    "location",
    "log",
    "machine",
    "mail",
    "manager",
    "member",
    "menu",
    "message",
    "metric",
    "module",
    "note",
    "notice",
    "offer",
    "option",
    "order",
    "owner",
    "package",
    "page",
    "payment",
    "period",
    "permission",
    "person",
    "phone",
    "plan",
    "policy",
    "post",
    "price",
    "product",
    "profile",
    "project",
    "promotion",
    "provider",
    "purchase",
    "quality",
    "quota",
    "rate",
    "rating",
    "receipt",
    "record",
    "refund",
    "region",
    "report",
    "request",
    "reservation",
    "resource",
    "result",
    "review",
    "role",
    "route",
    "rule",
    "sale",
    "sample",
    "schedule",
    "school",
    "score",
    "section",
    "segment",
    "series",
    "service",
    "session",
    "setting",
    "shift",
    "shipment",
    "site",
    "source",
    "stage",
    "state",
    "station",
    "status",
    "step",
    "stock",
    "store",
    "subject",
    "subscription",
    "supplier",
    "survey",
    "table",
    "tag",
    "target",
    "task",
    "tax",
    "team",
    "template",
    "tenant",
    "ticket",
    "token",
    "tool",
    "topic",
    "track",
    "transaction",
    "transfer",
    "trip",
    "type",
    "unit",
    "update",
    "user",
    "value",
    "vehicle",
]
_TYPES = ("integer", "bigint", "text", "character varying(80)", "timestamp with time zone", "uuid")
_SCHEMAS = ("public", "sales", "billing", "audit", "hr", "logistics", "crm", "web")


class Varied:
    """The names and numbers of one snapshot."""

    def __init__(self, snapshot: Snapshot, seed: int = 1) -> None:
        self.old = snapshot
        self.chance = random.Random(seed)
        named: tuple[Any, ...] = (*snapshot.tables, *snapshot.indexes, *snapshot.sequences)
        oids = sorted({r.oid for r in named})
        step = iter(self._steps())
        self.oid = {oid: next(step) for oid in oids}
        self.table = {t.oid: self._name() for t in snapshot.tables}
        self.schema = {t.oid: self.chance.choice(_SCHEMAS) for t in snapshot.tables}
        self.column = {
            (c.table_oid, c.attnum): self.chance.choice(_WORDS)
            + self.chance.choice(("", "_id", "_at"))
            for c in snapshot.columns
        }

    def _steps(self) -> Iterator[int]:
        oid = 16_384
        while True:
            oid += 1 + int(self.chance.expovariate(1 / 8))
            yield oid

    def _name(self) -> str:
        return "_".join(self.chance.choice(_WORDS) for _ in range(self.chance.randint(1, 3)))

    def _count(self, most: float = 1e7) -> int:
        return int(most ** self.chance.random())

    def snapshot(self) -> Snapshot:
        """Return the other snapshot."""
        old, chance = self.old, self.chance
        tables = [
            replace(
                t,
                oid=self.oid[t.oid],
                schema=self.schema[t.oid],
                name=self.table[t.oid],
                pages=self._count(),
                rows=float(self._count(1e9)),
            )
            for t in old.tables
        ]
        tables.sort(key=lambda t: (-t.pages, t.oid))
        activity = {a.oid: a for a in old.table_activity}
        usage = {u.oid: u for u in old.index_usage}
        back = {new: each for each, new in self.oid.items()}
        counters = [
            replace(
                activity[back[t.oid]],
                oid=t.oid,
                n_live_tup=self._count(),
                n_dead_tup=self._count(),
                n_tup_ins=self._count(),
                seq_scan=self._count(),
            )
            for t in tables
        ]
        indexes, definitions = self._indexes()
        columns = [
            replace(
                c,
                table_oid=self.oid[c.table_oid],
                name=self.column[c.table_oid, c.attnum],
                type=chance.choice(_TYPES),
            )
            for c in old.columns
        ]
        columns.sort(key=lambda c: (c.table_oid, c.attnum))
        statistics = [
            replace(s, table_oid=self.oid[s.table_oid], n_distinct=self._distinct(), avg_width=chance.randint(4, 60))
            for s in old.column_statistics
            if s.table_oid in self.oid
        ]  # fmt: skip
        facts: dict[str, Any] = {
            "tables": tables,
            "table_activity": counters,
            "indexes": indexes,
            "index_definitions": definitions,
            "index_usage": [
                replace(usage[back[i.oid]], oid=i.oid, idx_scan=self._count() if chance.random() < 0.7 else 0)
                for i in indexes
            ],
            "columns": columns,
            "column_statistics": statistics,
            "constraints": [
                replace(
                    c,
                    table_oid=self.oid[c.table_oid],
                    referenced_oid=c.referenced_oid and self.oid[c.referenced_oid],
                    schema=self.schema[c.table_oid],
                    name=f"{self.table[c.table_oid]}_{'pkey' if c.kind == 'p' else self.column[c.table_oid, c.columns[0]] + '_' + c.kind}",
                )
                for c in old.constraints
                if c.table_oid in self.table
            ],
            "sequences": [
                replace(s, oid=self.oid[s.oid], name=f"{self._name()}_id_seq", last_value=self._count())
                for s in old.sequences
            ],
        }  # fmt: skip
        made: dict[str, Any] = {name: tuple(rows) for name, rows in facts.items()}
        return replace(old, **made)

    def _distinct(self) -> float:
        return (
            float(self._count(1e5))
            if self.chance.random() < 0.5
            else -round(self.chance.random(), 6)
        )

    def _indexes(self) -> tuple[list[Any], list[Any]]:
        made = []
        definition = self.old.definition_by_oid
        for i in self.old.indexes:
            if i.table_oid not in self.table:
                continue
            table, schema = self.table[i.table_oid], self.schema[i.table_oid]
            names = [self.column.get((i.table_oid, k), "expr") for k in i.keys]
            way = self.chance.random()
            name = f"{table}_{'_'.join(names)}_idx" if way < 0.6 else f"idx_{table}_{names[0]}"
            text = definition.get(i.oid, "")
            head = "CREATE UNIQUE INDEX" if i.is_unique else "CREATE INDEX"
            if text:
                text = f"{head} {name} ON {schema}.{table} USING btree ({', '.join(names)})"
            pages = self._count(1e6)
            made.append((replace(i, oid=self.oid[i.oid], table_oid=self.oid[i.table_oid], schema=schema, name=name, pages=pages), text))  # fmt: skip
        made.sort(key=lambda m: (-m[0].pages, m[0].oid))
        some = {d.oid: d for d in self.old.index_definitions}
        back = {new: old for old, new in self.oid.items()}
        texts = [replace(some[back[i.oid]], oid=i.oid, definition=text) for i, text in made if text]
        return [i for i, _ in made], texts


if __name__ == "__main__":
    snapshot_file.save(Varied(snapshot_file.load(Path(sys.argv[1]))).snapshot(), Path(sys.argv[2]))
