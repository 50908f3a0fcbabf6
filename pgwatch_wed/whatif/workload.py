"""The statements to optimize: a directory of ``.sql`` files, or pg_stat_statements."""

import json
import math
import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.postgres import plan_time, statements
from pgwatch_wed.sqltext import statement
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.sqltext.held_queries import declared, fetched, query_within
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.sqltext.statement_label import ambiguous_names, label
from pgwatch_wed.whatif.model import Query, Rejected

WEIGHTS = "weights.json"
MAX_STATEMENTS = 1000
_TYPICAL_LIMIT = 100
_MAX_FILE_BYTES = 1_000_000
_ROLE = re.compile(r"--\s*role:\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Workload:
    """Queries that can be planned, those that cannot, and their source.

    ``unseen_ms`` is the time of statements of which there is no text, or that come after the costliest ones.
    """

    queries: tuple[Query, ...]
    rejected: tuple[Rejected, ...] = ()
    source: str = ""
    is_measured: bool = False
    hidden: int = 0
    unseen_ms: float = 0.0


def from_folder(folder: Path) -> Workload:
    """Read a directory: one statement per ``.sql`` file, and weights from ``weights.json`` if it exists.

    A first line ``-- role: NAME`` says who runs the statement.

    Raises :class:`UsageError` if the directory or the weights cannot be read.
    """
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".sql")
    except OSError as error:
        raise UsageError(
            f"could not read the workload {folder}: {error.strerror}",
            "--workload expects a directory of .sql files, one statement each",
        ) from None
    if not files:
        raise UsageError(
            f"the workload {folder} contains no .sql files", "put one statement in each file"
        )
    weights = weights_of(folder / WEIGHTS, {p.name for p in files})
    queries, rejected = _parted(_read_file(p, weights.get(p.name, 1.0)) for p in files)
    return Workload(queries, rejected, str(folder))


def from_snapshot(snapshot: Snapshot, most: int | None = None) -> Workload:
    """Return the users' own statements in a snapshot, costliest first.

    Raises :class:`CollectError` if the snapshot has none because they could not be read.
    """
    if "statements" in snapshot.missing and not snapshot.statements:
        lacking = snapshot.missing["statements"]
        raise CollectError(
            f"the workload could not be read from pg_stat_statements: {lacking.reason}",
            f"use --workload DIR, or {lacking.mend}" if lacking.mend else "use --workload DIR",
        )
    called = [s for s in statements.of_users(snapshot) if s.calls]
    known = [s for s in called if s.text is not None]
    own = _with_fetched(known)
    ambiguous = ambiguous_names(s.text for s in own[:most] if s.text)
    queries, rejected = _parted(_of_statement(s, snapshot, ambiguous) for s in own[:most])
    unseen = [*(s for s in called if s.text is None), *(own[most:] if most is not None else ())]
    hidden = sum(info.hidden_entries for info in snapshot.statements_info)
    return Workload(
        queries,
        rejected,
        "pg_stat_statements",
        is_measured=True,
        hidden=hidden,
        unseen_ms=sum(s.total_exec_ms for s in unseen),
    )


def _with_fetched(known: Sequence[Statement]) -> list[Statement]:
    """Return what holds queries, with what was fetched from cursors added to the one that declared each."""
    own = {s.query_id: s for s in known if statement_text.holds_query(s.text or "")}
    cursors: dict[str, list[int]] = {}
    for s in own.values():
        name = declared(s.text or "")
        if name is not None:
            cursors.setdefault(name, []).append(s.query_id)
    for s in known:
        name = fetched(s.text or "")
        if name is None:
            continue
        declares = cursors.get(name, ())
        if len(declares) == 1:
            own[declares[0]] = _sum(own[declares[0]], s)
        else:
            own[s.query_id] = s
    return sorted(own.values(), key=lambda s: (-s.total_exec_ms, s.query_id))


def _sum(declare: Statement, fetch: Statement) -> Statement:
    names = ("total_exec_ms", "rows", "shared_blks_hit", "shared_blks_read", "blk_read_ms")
    return replace(declare, **{n: getattr(declare, n) + getattr(fetch, n) for n in names})


def _parted(
    found: Iterable[Query | Rejected],
) -> tuple[tuple[Query, ...], tuple[Rejected, ...]]:
    each = tuple(found)
    return (
        tuple(q for q in each if isinstance(q, Query)),
        tuple(r for r in each if isinstance(r, Rejected)),
    )


def _read_file(path: Path, weight: float) -> Query | Rejected:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            return Rejected(path.name, "the file is larger than 1 MB", has_plan=False)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return Rejected(path.name, "the file is not UTF-8", has_plan=False)
    except OSError as error:
        return Rejected(path.name, f"the file could not be read: {error.strerror}", has_plan=False)
    return query_of(path.name, text, weight=weight, user=_role(text))


def _role(text: str) -> str | None:
    """Return the role that a text's first comments name; None for the role that asks."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("--"):
            return None
        if found := _ROLE.fullmatch(line.strip()):
            return found[1]
    return None


def query_of(name: str, text: str, **more: Any) -> Query | Rejected:
    """Return the query in a text, or why there is none."""
    try:
        if "\0" in text:
            raise UnsupportedError("it contains a null byte")
        parsed = statement.parse(text, _limit(more.get("rows")))
    except UnsupportedError as error:
        return Rejected(name, str(error), has_plan=False)
    is_open = parsed.parameters > 0
    return Query(name, parsed.text, is_write=parsed.is_write, has_parameters=is_open, **more)


def _limit(rows: float | None) -> int:
    """Return what stands for ``LIMIT $1``: the rows that a call returns, if any, which are mostly as many."""
    return _TYPICAL_LIMIT if rows is None or rows < 1 else min(_TYPICAL_LIMIT, math.ceil(rows))


def weights_of(file: Path, names: set[str]) -> dict[str, float]:
    """Read what a file says about the weights of files of these names; nothing if it does not exist."""
    if not file.exists():
        return {}
    try:
        weights = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(weights, dict):
            raise TypeError("it is not a JSON object")
        return {name: _weight(name, value, names) for name, value in weights.items()}
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{file}: {error}", 'it must map file names to weights: {"orders.sql": 12.5}'
        ) from None


def _weight(name: str, value: Any, names: set[str]) -> float:
    if name not in names:
        raise ValueError(f"file {name!r} does not exist")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise ValueError(f"the weight of {name!r} must be a non-negative number")
    return float(value)


def _of_statement(found: Statement, snapshot: Snapshot, ambiguous: Set[str]) -> Query | Rejected:
    text = found.text or ""
    within = query_within(text) if statement_text.is_utility(text) else None
    name = f"{label(within or text, ambiguous)} [{found.query_id}]"
    if statement_text.is_utility(text) and within is None:
        read: Query | Rejected = Rejected(
            name, "it is a utility command", is_utility=True, has_plan=False
        )
        return replace(read, query_id=found.query_id, total_ms=found.total_exec_ms)
    read = query_of(
        name,
        text,
        query_id=found.query_id,
        calls=float(found.calls),
        total_ms=plan_time.most_ms(found),
        user=found.user or "",
        others=tuple(u for u in statements.users(snapshot, found.query_id) if u != found.user),
        rows=found.rows / max(found.calls, 1),
        blocks=(found.shared_blks_hit + found.shared_blks_read) / max(found.calls, 1),
    )
    if isinstance(read, Rejected):
        return replace(read, query_id=found.query_id, total_ms=found.total_exec_ms)
    return read
