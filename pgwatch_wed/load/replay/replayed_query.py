"""One statement of production → texts with values for the copy, or why not."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import psycopg
from psycopg import pq

from pgwatch_wed.facts import Statement
from pgwatch_wed.load.replay.drawn_values import ValueReach, drawn
from pgwatch_wed.load.replay.effects_reached import EffectsReached, UnsafeError
from pgwatch_wed.load.replay.parameter_uses import (
    ParameterUses,
    ValueUse,
    complete,
    equal_parameters,
    uses_of,
)
from pgwatch_wed.load.replay.replay_mix import CallWork
from pgwatch_wed.load.replay.replay_text import NotSentError, renumbered, written
from pgwatch_wed.load.replay.replay_trial import FACTOR, ReplayTrial, TrialFailedError, deviation
from pgwatch_wed.load.replay.sampled_rows import (
    BlockSample,
    SampledRow,
    SampleSession,
    constant,
    interpolated,
)
from pgwatch_wed.sqltext import statement, trees
from pgwatch_wed.sqltext.reading import read
from pgwatch_wed.sqltext.repairs import parameters, with_values
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.whatif.lab import samples

MOST_SETS = 16
_FITTED_SETS = 8
_TRIES = 8
_PREFIXES = (0, 2, 4, 6, 8, 12)
_GOOD = 1.25
# What nothing determines may be whatever the server finds, an integer, or text.
_TEXT_OID = 25
_GUESSES = (0, 23, _TEXT_OID)
_SHORTENED = re.compile(r"\$(\d+) /\*, \.\.\. \*/")
_SAMPLING_MS = 5000
_TRYING_MS = 10_000.0  # all values of a statement, together
# What a parameter that nothing determines may be.
_DEFAULTS = {
    "boolean": "true",
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric", "real", "double precision"), "1"),
    **dict.fromkeys(("text", "character varying", "bpchar", "name", "bytea"), ""),
    "interval": "1 day",
    "date": "today",
    "timestamp without time zone": "now",
    "timestamp with time zone": "now",
    "uuid": "00000000-0000-0000-0000-000000000000",
    **dict.fromkeys(("json", "jsonb"), "{}"),
}


class NotReplayedError(Exception):
    """A statement is not replayed; the text says why."""


@dataclass(frozen=True, slots=True)
class ReplayedQuery:
    """A statement with values: its texts, what a call of them returns and touches, and where values are from."""

    texts: tuple[str, ...]
    work: CallWork
    values_from: str


@dataclass(slots=True)
class Replayer:
    """Prepares statements on a copy. ``asking`` samples and tries as the replay's role, read-only."""

    checking: EffectsReached
    asking: psycopg.Connection[Any]
    path: str
    seed: int
    limit_ms: int
    _names: dict[int, str] = field(default_factory=dict)

    def replayed(self, given: Statement) -> ReplayedQuery:
        """Return a statement with values; raises :class:`NotReplayedError`."""
        text = self._checked(given)
        tree = trees.parse(text)[0]
        text = renumbered(text, equal_parameters(tree))
        tree = trees.parse(text)[0]
        uses = uses_of(tree)
        types = self._types(text, uses)
        uses = _completed(uses, types, text)
        try:
            self.checking.check(_with_nulls(text, types), self.path)
            return _Fitting(self, given, text, uses, types).fitted()
        except (UnsafeError, TrialFailedError, NotSentError) as error:
            raise NotReplayedError(str(error)) from None

    def _checked(self, given: Statement) -> str:
        """Return the text, if by itself it may be run."""
        if given.text is None:
            raise NotReplayedError("its text is hidden or was not read")
        found = read(given.text)
        try:
            parsed = statement.parse(given.text)
        except UnsupportedError as error:
            raise NotReplayedError(str(error)) from None
        if parsed.is_write:
            raise NotReplayedError("it changes data")
        if found.locks_rows:
            raise NotReplayedError("it locks rows, which changes them")
        return parsed.text

    # Types, as the server infers them

    def _types(self, text: str, uses: ParameterUses) -> dict[int, str]:
        used = parameters(text)
        count = max(used, default=0)
        refused = ""
        for kind in _GUESSES:
            oids = [kind if n in uses.loose else 0 for n in range(1, count + 1)]
            oids = [oid if n in used else _TEXT_OID for n, oid in enumerate(oids, 1)]
            described = self._described(text, oids)
            if not isinstance(described, str):
                return {number: self._type_name(oid) for number, oid in enumerate(described, 1)}
            refused = refused or described
        raise NotReplayedError(refused)

    def _described(self, text: str, oids: Sequence[int]) -> list[int] | str:
        connection = self.asking
        encoded = text.encode(connection.info.encoding, "replace")
        done = connection.pgconn.prepare(b"pgwatch_wed_replay", encoded, oids)
        if done.status != pq.ExecStatus.COMMAND_OK:
            message = (done.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(
                errors="replace"
            )
            return f"the copy does not accept it: {' '.join(message.split())}"
        told = connection.pgconn.describe_prepared(b"pgwatch_wed_replay")
        found = [told.param_type(n) for n in range(told.nparams)]
        connection.execute("deallocate pgwatch_wed_replay")
        return found

    def _type_name(self, oid: int) -> str:
        if oid not in self._names:
            query = (
                "select pg_catalog.format_type(%s::oid, -1) from"
                " (select pg_catalog.set_config('search_path', 'pg_catalog', true)) s"
            )
            row = self.asking.execute(query, [oid]).fetchone()
            self._names[oid] = str(row[0]) if row else "text"
        return self._names[oid]


def _completed(uses: ParameterUses, types: Mapping[int, str], text: str) -> ParameterUses:
    keys = {n: e for n, e in uses.keys.items() if types.get(n) == "text"}
    shortened = frozenset(int(n) for n in _SHORTENED.findall(text))
    blocks = tuple(complete(b, keys, shortened) for b in uses.blocks)
    return replace(uses, blocks=blocks, keys=keys)


def _with_nulls(text: str, types: Mapping[int, str]) -> str:
    return with_values(text, lambda number, _start: f"(null::{types[number]})")


@dataclass(slots=True)
class _Fitting:
    """Draws values for one statement, so that a call does what one in production did."""

    replayer: Replayer
    given: Statement
    text: str
    uses: ParameterUses
    types: dict[int, str]
    _from_statistics: bool = False

    def fitted(self) -> ReplayedQuery:
        """Return the statement with values; raises :class:`NotReplayedError` and :class:`TrialFailedError`."""
        fixed = {n: constant(v, self.types[n]) for n, v in self._constants().items()}
        self._limit(_SAMPLING_MS)
        session = SampleSession(
            self.replayer.asking, self.types, fixed, self.uses.keys, self.replayer.seed
        )
        sampled = [s for b in self.uses.blocks for s in session.samples(b, MOST_SETS)]
        sampled = [s if s.rows else self._statistics(session, s) for s in sampled]
        self._limit(self.replayer.limit_ms)
        found = self._run(sampled)
        by_key = [replace(s, rows=s.by_key or s.rows) for s in sampled]
        if deviation(found.work, there_of(self.given)) > FACTOR and by_key != sampled:
            other = self._run(by_key)
            found = min(found, other, key=lambda f: deviation(f.work, there_of(self.given)))
        return found

    def _run(self, sampled: Sequence[BlockSample]) -> ReplayedQuery:
        texts = self._texts(sampled, self._best_reach(sampled), MOST_SETS)
        trial = ReplayTrial(self.replayer.asking)
        # the first time, caches of the session are cold
        first = trial.work(texts[:1])
        texts = texts[: max(1, int(_TRYING_MS / max(first.ms, 0.1)))]
        trial.work(dict.fromkeys(texts[1:]))
        return ReplayedQuery(tuple(texts), trial.work(texts), self._source(sampled))

    def _limit(self, limit_ms: int) -> None:
        query = "select pg_catalog.set_config('statement_timeout', %s, false)"
        self.replayer.asking.execute(query, [f"{limit_ms}ms"])

    def _source(self, sampled: Sequence[BlockSample]) -> str:
        if self._from_statistics:
            return "statistics"
        return "sampled rows" if sampled else "no values"

    def _constants(self) -> dict[int, str]:
        """Return values of parameters that are not compared with anything, as text."""
        compared = {u.number for b in self.uses.blocks for u in b.uses}
        found = {}
        for number in parameters(self.text) - compared:
            hint = self.uses.hints.get(number)
            if number in self.uses.limits:
                calls = max(self.given.calls, 1)
                hint = str(max(1, math.ceil(self.given.rows / calls - 0.01)))
            kind = self.types[number]
            if hint is None or (hint and not _fits(hint, kind)):
                hint = "{}" if kind.endswith("[]") else _DEFAULTS.get(kind)
            if hint is None:
                raise NotReplayedError(f"no value is known for ${number} of type {kind}")
            found[number] = hint
        return found

    def _statistics(self, session: SampleSession, sample: BlockSample) -> BlockSample:
        """Return rows made up of usual values, where a block has no rows."""
        columns = {}
        block = next(b for b in _flat(self.uses) if b.uses == sample.uses)
        for use in sample.uses:
            columns[use.number] = session.usual(block, use)
            if not columns[use.number]:
                raise NotReplayedError(
                    f"the copy has neither rows nor statistics for ${use.number}"
                )
        self._from_statistics = True
        # columns are drawn apart: statistics know nothing of their correlation
        rows = (
            SampledRow({number: known[n % len(known)] for number, known in columns.items()})
            for n in range(MOST_SETS)
        )
        return BlockSample(sample.uses, tuple(rows))

    # Fitting

    def _best_reach(self, sampled: Sequence[BlockSample]) -> ValueReach:
        kinds = {u.use for s in sampled for u in s.uses}
        there = there_of(self.given)
        reach = ValueReach(max(1.0, there.rows, there.blocks if self.uses.is_grouped else 1.0))
        is_reaching = kinds & {ValueUse.ABOVE, ValueUse.BELOW, ValueUse.LIST, ValueUse.SHORTENED}
        prefixes = _PREFIXES if ValueUse.PATTERN in kinds else (0,)
        if not is_reaching and len(prefixes) == 1:
            return reach
        best, least = reach, math.inf
        for prefix in prefixes:
            current = ValueReach(reach.rows, prefix)
            for _ in range(_TRIES if is_reaching else 1):
                here = self._tried(sampled, current)
                off = deviation(here, there)
                if off < least:
                    best, least = current, off
                if off <= _GOOD or not is_reaching:
                    break
                current = ValueReach(current.rows * self._correction(here, there), prefix)
        return best

    def _tried(self, sampled: Sequence[BlockSample], reach: ValueReach) -> CallWork:
        texts = self._texts(sampled, reach, _FITTED_SETS)
        return ReplayTrial(self.replayer.asking).work(texts)

    def _correction(self, here: CallWork, there: CallWork) -> float:
        """Return by how much more rows are to be selected: by rows, or by blocks where a limit or a group decides."""
        by_rows = (there.rows + 0.1) / (here.rows + 0.1)
        by_blocks = (there.blocks + 1) / (here.blocks + 1)
        wanted = by_blocks if self.uses.is_grouped else by_rows
        return min(max(wanted, 1 / 64), 64.0)

    def _texts(self, sampled: Sequence[BlockSample], reach: ValueReach, most: int) -> list[str]:
        dice = Random(f"{self.replayer.seed} {self.given.query_id}")  # noqa: S311 - nothing secret
        constants = {number: (value,) for number, value in self._constants().items()}
        sets = max((len(s.rows) for s in sampled), default=1)
        texts = []
        for n in range(min(sets, most)):
            rows = [(s, s.rows[n % len(s.rows)]) for s in sampled]
            texts.append(self._written({**constants, **drawn(rows, reach, dice, self._between)}))
        return texts if len(set(texts)) > 1 else texts[:1]

    def _between(self, number: int, low: str, high: str, share: float) -> str:
        kind = self.types[number]
        between = samples.BETWEEN.get(_SHORT.get(kind, kind))
        if kind == "interval":
            between = "lo + (hi - lo) * f"
        return interpolated(self.replayer.asking, kind, between, low, high, share)

    def _written(self, values: Mapping[int, tuple[str, ...]]) -> str:
        lacking = parameters(self.text) - values.keys()
        if lacking:
            raise NotReplayedError(f"no value is known for ${min(lacking)}")
        return written(self.text, values, self.types)


_SHORT = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}


def there_of(given: Statement) -> CallWork:
    """Return what a call did in production."""
    calls = max(given.calls, 1)
    blocks = given.shared_blks_hit + given.shared_blks_read
    return CallWork(given.rows / calls, blocks / calls, given.total_exec_ms / calls)


def _flat(uses: ParameterUses) -> list[Any]:
    return [b for block in uses.blocks for b in (block, *block.alone)]


def _fits(hint: str, kind: str) -> bool:
    """Tell whether a hint is a value of a type."""
    if kind in ("smallint", "integer", "bigint", "numeric", "real", "double precision"):
        return hint.replace(".", "", 1).isdigit()
    if kind == "boolean":
        return hint in ("true", "false")
    return kind in ("text", "character varying", "bpchar", "name", "interval", "regconfig")
