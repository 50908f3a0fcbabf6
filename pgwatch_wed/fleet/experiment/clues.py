"""What a visit leaves for comparisons between clusters: which statements became slower, and which did not.

It is a part of the visit's traits: reports over a thousand clusters read these, and no series.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.facts.rows import StatementShift
from pgwatch_wed.postgres import named
from pgwatch_wed.sqltext import reading
from pgwatch_wed.sqltext.statement_link import statement_key

SERVER = "server"
"""Stands for a statement's key where the whole server is meant."""
REGRESSED = "regressed"
STEADY = "steady"
_FACT = "statement_shifts"
_DIGITS = 3
# Those with the largest share of the load are enough.
_MOST_STATEMENTS = 60
_MOST_TEXT = 500


@dataclass(frozen=True, slots=True)
class StatementClue:
    """What became of a statement on a cluster, in the database where it became slowest; times are of a call.

    Only of those that became slower there is a text, when the calls that are slower began (ISO 8601), and how probable that is
    by chance; ``has_more_work``: a call reads more blocks as well.
    """

    outcome: str
    ratio: float = 1.0
    query_id: int = 0
    database: str = ""
    ms_before: float = 0.0
    ms_after: float = 0.0
    tables: tuple[str, ...] = ()
    is_new_plan: bool = False
    text: str = ""
    begins: str = ""
    p_value: float | None = None
    has_more_work: bool = False


@dataclass(frozen=True, slots=True)
class Clues:
    """Statements by a key that is the same on all servers.

    ``unknown`` are databases of which the history cannot tell whether anything is slower, with reasons.
    """

    statements: Mapping[str, StatementClue] = field(default_factory=dict)
    standbys: int = 0
    unknown: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> "Clues":
        """Read what :meth:`to_json` wrote; what a newer version added is left out."""
        names = StatementClue.__dataclass_fields__
        found = {
            key: StatementClue(**{n: _tuple(v) for n, v in each.items() if n in names})
            for key, each in value.get("statements", {}).items()
        }
        return cls(found, int(value.get("standbys", 0)), dict(value.get("unknown", {})))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def clues_of(snapshots: Sequence[Snapshot]) -> Clues:
    """Return the clues of a cluster whose databases were read, and recalled from the history."""
    found: dict[str, StatementClue] = {}
    unknown: dict[str, str] = {}
    for snapshot in snapshots:
        name = snapshot.server.database
        if all(c.fact != _FACT for c in snapshot.history_coverage):
            lacking = snapshot.missing.get(_FACT)
            unknown[name] = lacking.reason if lacking is not None else "its history was not read"
            continue
        for key, clue in _clues(snapshot):
            if key not in found or _rank(clue) > _rank(found[key]):
                found[key] = clue
    return Clues(found, _standbys(snapshots), unknown)


def _rank(clue: StatementClue) -> tuple[bool, bool, float]:
    return clue.outcome == REGRESSED, clue.outcome == STEADY, clue.ratio


def _clues(snapshot: Snapshot) -> Iterator[tuple[str, StatementClue]]:
    by_id = {s.query_id: s for s in snapshot.statements if s.text is not None}
    shifts = sorted(snapshot.statement_shifts, key=lambda s: (not s.is_regressed, -s.load_share))
    if shifts:
        yield SERVER, _of_server(snapshot, shifts[0])
    for shift in shifts[:_MOST_STATEMENTS]:
        statement = by_id.get(shift.query_id)
        if statement is not None and statement.text is not None:
            key = statement_key("", statement.text, is_toplevel=statement.is_toplevel)
            yield key, _of_statement(snapshot, statement, shift)


def _of_server(snapshot: Snapshot, shift: StatementShift) -> StatementClue:
    database = snapshot.server.database
    if shift.server_ratio is None:
        return StatementClue("too little", database=database)
    outcome = REGRESSED if shift.is_server_slower else STEADY
    begins = shift.current_begins.isoformat() if shift.is_server_slower else ""
    return StatementClue(outcome, _rounded(shift.server_ratio), database=database, begins=begins)


def _of_statement(snapshot: Snapshot, statement: Statement, shift: StatementShift) -> StatementClue:
    return StatementClue(
        shift.outcome,
        _rounded(shift.ratio),
        shift.query_id,
        snapshot.server.database,
        _rounded(shift.ms_before),
        _rounded(shift.ms_after),
        tuple(sorted({t.qualified for t in tables_of(snapshot, statement.text)})),
        shift.is_new_plan,
        (statement.text or "")[:_MOST_TEXT] if shift.is_regressed else "",
        shift.current_begins.isoformat() if shift.is_regressed else "",
        _rounded(shift.p_value) if shift.is_regressed else None,
        shift.is_regressed and shift.grade != "C",
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def tables_of(snapshot: Snapshot, text: str | None) -> Iterator[Table]:
    """Yield the tables that a statement names."""
    read = reading.query(text)
    for each in read.relations if read else ():
        table = named.table(snapshot, each.schema, each.name)
        if table is not None:
            yield table


def _standbys(snapshots: Sequence[Snapshot]) -> int:
    return max((max(len(s.replicas), len(s.nodes)) for s in snapshots), default=0)
