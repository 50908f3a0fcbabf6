"""What decides plans in the target beside definitions and statistics, and what of all that did not get into the lab.

Whatever is there on the target but not in the lab (an index of a method that the lab does not have, a constraint that
calls a missing function) is a doubt about its table: nothing is lost in silence.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif.lab import guest
from pgwatch_wed.whatif.lab.dump import OUR_OWN
from pgwatch_wed.whatif.model import Doubt
from pgwatch_wed.whatif.unencoded import readable

Connection = psycopg.Connection[Any]

# Extensions that plan statements themselves, or change how they are planned.
_PLANNERS = frozenset(
    {
        *(
            "timescaledb",
            "citus",
            "citus_columnar",
            "pg_hint_plan",
            "pg_pathman",
            "aqo",
            "orioledb",
        ),
        *("pg_plan_advsr", "sr_plan", "pg_plan_guarantee", "pg_mooncake", "pg_duckdb"),
    }
)
_BLOCK = "8192"
_SHOWN = 5
_OF_COLUMN = "statistics of column"
_KINDS = {"r": "table", "m": "materialized view", "i": "index"}


@dataclass(frozen=True, slots=True)
class Part:
    """Something of a table that may decide a plan."""

    schema: str
    table: str
    kind: str
    name: str

    def doubt(self) -> Doubt:
        """Return the doubt about statements on its table that the lack of it raises."""
        reason = f"{self.kind} {self.name} of {self.schema}.{self.table} is not in the lab"
        columns = frozenset({self.name} if self.kind == _OF_COLUMN else ())
        return Doubt(self.schema, self.table, reason, columns)


@dataclass(frozen=True, slots=True)
class Tablespace:
    """A tablespace with costs of its own; relations are schema, name and kind."""

    name: str
    is_default: bool
    options: tuple[str, ...]
    relations: tuple[tuple[str, str, str], ...]


def inventory(connection: Connection) -> frozenset[Part]:
    """Return everything that may decide plans, of the target or of the lab."""
    rows = connection.execute(composed("whatif", "inventory"))
    return frozenset(Part(*readable(row)) for row in rows)


def lacking(target: Collection[Part], lab: Collection[Part]) -> Iterator[Doubt]:
    """Yield a doubt for everything that the lab does not have, although it has the table."""
    here = {(part.schema, part.table) for part in lab}
    for part in sorted(set(target) - set(lab), key=lambda p: (p.schema, p.table, p.kind, p.name)):
        if (part.schema, part.table) in here:
            yield part.doubt()


def lost(target: Collection[Part], lab: Collection[Part]) -> Iterator[str]:
    """Yield a note if tables of the target are not in the lab: nothing that reads them can be planned."""
    here = {(part.schema, part.table) for part in lab}
    gone = sorted({f"{p.schema}.{p.table}" for p in target if (p.schema, p.table) not in here})
    gone = [name for name in gone if not name.endswith(OUR_OWN)]
    if gone:
        more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
        yield f"not in the lab, so statements that read them cannot be planned: {', '.join(gone[:_SHOWN])}{more}"


def general(extensions: Iterable[str], settings: Mapping[str, str]) -> Iterator[str]:
    """Yield what makes the lab plan any statement otherwise than the target."""
    for name in extensions:
        if name in _PLANNERS:
            yield f"the extension {name} changes how statements are planned, and is not in the lab"
    size = settings.get("block_size", _BLOCK)
    if size != _BLOCK:
        yield f"the server has blocks of {size} bytes, and the lab of {_BLOCK}"


def of_text(text: str) -> Iterator[str]:
    """Yield what in a statement's text changes its plan on the target only."""
    if "/*+" in text:
        yield "the statement may contain hints for the planner, which the lab does not know"


def toasted(connection: psycopg.Connection[Any]) -> frozenset[tuple[str, str]]:
    """Return the tables of a target that have values out of line, by schema and name."""
    return frozenset(connection.execute(composed("whatif", "toasted")).fetchall())


def tablespaces(connection: Connection) -> list[Tablespace]:
    """Return the target's tablespaces with costs of their own."""
    rows = connection.execute(composed("whatif", "tablespaces"))
    return [
        Tablespace(name, is_default, tuple(options), tuple((s, n, k) for s, n, k in relations))
        for name, is_default, options, relations in map(readable, rows)
    ]


def place(admin: Connection, found: Iterable[Tablespace]) -> None:
    """Put empty relations into tablespaces that cost what the target's do."""
    for number, tablespace in enumerate(found):
        costs = sql.SQL(", ").join(map(_option, tablespace.options))
        if tablespace.is_default:
            admin.execute(sql.SQL("alter tablespace pg_default set ({})").format(costs))
        name = sql.Identifier(f"pgwatch_wed_{number}")
        create = sql.SQL("create tablespace {} owner {} location '' with ({})")
        admin.execute(create.format(name, sql.Identifier(guest.ROLE), costs))
        for schema, relation, kind in tablespace.relations:
            move = sql.SQL("alter {} if exists {} set tablespace {}")
            what = sql.SQL(_KINDS[kind])
            admin.execute(move.format(what, sql.Identifier(schema, relation), name))


def _option(text: str) -> sql.Composed:
    name, _, value = text.partition("=")
    return sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))


def forget_remote_servers(admin: Connection) -> None:
    """Drop all user mappings, so that no foreign table connects to a server while it is planned."""
    admin.execute("delete from pg_user_mapping")
