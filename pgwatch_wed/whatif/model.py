"""The advisor's data: queries, candidates, plans and advice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.quote import ident


@dataclass(frozen=True, slots=True)
class Query:
    """A statement of the workload. ``weight`` multiplies its cost.

    ``user`` is the role that runs it: "" if it is not known, None for the role that asks; ``others`` run it, too. ``calls``, ``total_ms``,
    ``rows`` and ``blocks`` (of a call) are measured values if the workload comes from pg_stat_statements. ``of`` is the
    statement that this is a part of: its calls with some value of a parameter, which nobody shall see. ``cause`` is the name of the
    statement for whose rows PostgreSQL runs this one by itself, "" if it is one of the workload.
    """

    name: str
    sql: str
    weight: float = 1.0
    query_id: int | None = None
    calls: float | None = None
    total_ms: float | None = None
    rows: float | None = None
    blocks: float | None = None
    is_write: bool = False
    has_parameters: bool = False
    user: str | None = None
    others: tuple[str, ...] = ()
    assumed: str = ""
    of: "Query | None" = None
    cause: str = ""

    @property
    def whole(self) -> "Query":
        """The statement as the workload has it, with all of its calls."""
        return self if self.of is None else self.of

    @property
    def told_as(self) -> str:
        """The name of the statement of the workload that it is, or is a part or a consequence of."""
        return self.cause or self.whole.name


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One key of an index: a quoted column or an expression, as in CREATE INDEX."""

    text: str
    column: str | None = None
    operator_class: str = ""
    order: str = ""

    @property
    def sql(self) -> str:
        """The key in the syntax of CREATE INDEX."""
        core = self.text if self.column is not None else f"({self.text})"
        return " ".join(part for part in (core, self.operator_class, self.order) if part)

    @classmethod
    def of(cls, column: str, operator_class: str = "", order: str = "") -> "Key":
        """Return a key that is a column."""
        return cls(ident(column), column, operator_class, order)


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """An index that might be built. Objects with equal definitions are equal."""

    schema: str
    table: str
    keys: tuple[Key, ...]
    include: tuple[str, ...] = ()
    predicate: str = ""
    method: str = "btree"
    options: str = ""

    def ddl(self, name: str = "", *, concurrently: bool = False) -> str:
        """Return CREATE INDEX; the name is quoted here."""
        words = ["CREATE INDEX"]
        words += ["CONCURRENTLY"] if concurrently else []
        words += [ident(name)] if name else []
        words += ["ON", ident(self.schema, self.table)]
        words += ["USING", self.method, f"({', '.join(k.sql for k in self.keys)})"]
        words += [f"INCLUDE ({', '.join(map(ident, self.include))})"] if self.include else []
        words += [f"WITH ({self.options})"] if self.options else []
        words += [f"WHERE {self.predicate}"] if self.predicate else []
        return " ".join(words)

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys in readable form."""
        return tuple(k.column if k.column is not None else k.text for k in self.keys)

    @property
    def width(self) -> int:
        """The number of keys."""
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Plan:
    """The planner's result: cost, indexes used, and the whole tree."""

    cost: float
    used: frozenset[Candidate]
    used_existing: frozenset[int]
    tree: Mapping[str, Any] = field(hash=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the target's planner may decide otherwise about a table than the lab's, which lacks something.

    With ``columns``, only statements that compare, join, sort or group by at least ``least`` of them are affected.
    """

    schema: str
    table: str
    reason: str
    columns: frozenset[str] = frozenset()
    least: int = 1


@dataclass(frozen=True, slots=True)
class Rejected:
    """A statement without recommended indexes, and why. Without a plan, what an index would do for it is not known.

    ``total_ms`` is what it takes of the measured time if it has no plan.
    """

    query: str
    reason: str
    query_id: int | None = None
    is_utility: bool = False
    has_plan: bool = True
    total_ms: float | None = None


class PlanError(Exception):
    """The server refuses to plan a statement; the text is its message on one line.

    ``kind`` names the error without quoting the statement; ``lacks_types``: it may be that of a parameter without a type.
    ``position`` is where the error is in the statement's text, from 0.
    """

    def __init__(
        self,
        message: str,
        kind: str = "",
        *,
        lacks_types: bool = False,
        position: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.lacks_types = lacks_types
        self.position = position


class SlowPlanError(PlanError):
    """Planning took longer than the request allowed."""


class WithheldError(PlanError):
    """The server could plan it, but not as the target does; the text is ours."""


Configuration = frozenset[Candidate]
