"""Values for the parameters of a statement, so that a call on a copy does what one in production did."""

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

import psycopg
from psycopg import pq

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.plannable import plannable
from pgwatch_wed.sqltext.repairs import parameters, with_values
from pgwatch_wed.sqltext.typed_parameters import ColumnType, Misfit, typed
from pgwatch_wed.whatif import interpolation
from pgwatch_wed.whatif.proof.call_trial import (
    FACTOR,
    CallTrial,
    CallWork,
    blocks_apart,
    deviation,
    mean,
)
from pgwatch_wed.whatif.proof.drawn_values import ValueReach, drawn
from pgwatch_wed.whatif.proof.parameter_uses import (
    ParameterUses,
    ValueUse,
    complete,
    uses_of,
)
from pgwatch_wed.whatif.proof.sampled_rows import (
    BlockSample,
    SampledRow,
    SampleSession,
    constant,
    interpolated,
)

T = TypeVar("T")

MOST_SETS = 16
_FITTED_SETS = 8
_TRIES = 8
_PREFIXES = (0, 2, 4, 6, 8, 12)
_GOOD = 1.25
# If it is not known how many rows a call returns: what LIMIT asks for, and what ranges select, in turn.
_USUAL_ROWS = 20.0
_UNKNOWN_REACH = tuple(map(ValueReach, (_USUAL_ROWS, 1.0, 1000.0)))
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


class NoValuesError(Exception):
    """Nothing tells which values a statement may have; the text says why."""


def _unknown(_column: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class ProductionCall:
    """A statement as it is called in production; ``work`` is None if it was not measured."""

    query_id: int = 0
    work: CallWork | None = None
    is_limited: bool = False  # by another LIMIT than in production: the number of rows says nothing


@dataclass(frozen=True, slots=True)
class TypedCall:
    """A statement whose parameters have types: what must be equal in it has one parameter."""

    text: str
    uses: ParameterUses
    types: Mapping[int, str]

    @property
    def with_nulls(self) -> str:
        """The statement with a null of its type for each parameter."""
        return with_values(self.text, lambda number, _start: f"(null::{self.types[number]})")


@dataclass(frozen=True, slots=True)
class FittedCall:
    """A statement with values: its texts, what a call of them returns and touches, and where values are from.

    Without ``work``, none was tried.
    """

    texts: tuple[str, ...]
    work: CallWork | None
    values_from: str


@dataclass(slots=True)
class ValueFitter:
    """Draws values on a copy. ``asking`` samples and tries, read-only, in autocommit mode, with the search path.

    At most ``most`` sets of values are returned. Nothing is fitted after ``deadline``, and nothing sampled after ``end``
    (both of the monotonic clock).
    ``is_picking``: if those drawn do not do what production's calls did on average, others that do are picked among more.
    """

    asking: psycopg.Connection[Any]
    seed: int
    limit_ms: int
    most: int = MOST_SETS
    deadline: float = math.inf
    end: float = math.inf
    is_picking: bool = False
    _names: dict[int, str] = field(default_factory=dict)

    def typed(self, text: str, type_of: ColumnType = _unknown) -> TypedCall:
        """Return a statement with the types of its parameters; raises :class:`NoValuesError`."""
        text = plannable(text)
        try:
            return self._typed(text)
        except NoValuesError:
            found = typed(text, type_of, self._refusal)
            if found is None:
                raise
            return self._typed(found.text)

    def _typed(self, text: str) -> TypedCall:
        uses = uses_of(trees.parse(text)[0])
        types = self._types(text, uses)
        return TypedCall(text, _completed(uses, types, text), types)

    def fitted(self, call: TypedCall, given: ProductionCall) -> FittedCall:
        """Return a statement with values.

        Raises :class:`NoValuesError`, :class:`pgwatch_wed.whatif.proof.call_trial.TrialFailedError` and
        :class:`pgwatch_wed.whatif.proof.sampled_rows.SamplingLateError`.
        """
        return _Fitting(self, given, call.text, call.uses, call.types).fitted()

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
        raise NoValuesError(refused)

    def _refusal(self, text: str) -> Misfit | None:
        """Return why the server does not take a text as it is, and where."""
        encoded = text.encode(self.asking.info.encoding, "replace")
        done = self.asking.pgconn.prepare(b"pgwatch_wed_typed", encoded)
        if done.status == pq.ExecStatus.COMMAND_OK:
            self.asking.execute("deallocate pgwatch_wed_typed")
            return None
        message = (done.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(
            errors="replace"
        )
        place = done.error_field(pq.DiagnosticField.STATEMENT_POSITION)
        return Misfit(message, None if place is None else int(place) - 1)

    def _described(self, text: str, oids: Sequence[int]) -> list[int] | str:
        connection = self.asking
        encoded = text.encode(connection.info.encoding, "replace")
        done = connection.pgconn.prepare(b"pgwatch_wed_typed", encoded, oids)
        if done.status != pq.ExecStatus.COMMAND_OK:
            message = (done.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(
                errors="replace"
            )
            return f"the copy does not accept it: {' '.join(message.split())}"
        told = connection.pgconn.describe_prepared(b"pgwatch_wed_typed")
        found = [told.param_type(n) for n in range(told.nparams)]
        connection.execute("deallocate pgwatch_wed_typed")
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


@dataclass(slots=True)
class _Fitting:
    """Draws values for one statement, so that a call does what one in production did."""

    fitter: ValueFitter
    given: ProductionCall
    text: str
    uses: ParameterUses
    types: Mapping[int, str]
    _from_statistics: bool = False

    def fitted(self) -> FittedCall:
        """Return the statement with values; raises :class:`NoValuesError` and :class:`TrialFailedError`."""
        fixed = {n: constant(v, self.types[n]) for n, v in self._constants().items()}
        session = SampleSession(
            self.fitter.asking,
            self.types,
            fixed,
            self.uses.keys,
            self.fitter.seed,
            _SAMPLING_MS,
            self.fitter.end,
        )
        session.limit(_SAMPLING_MS)
        most = MOST_SETS if self.fitter.is_picking else self.fitter.most
        sampled = [s for b in self.uses.blocks for s in session.samples(b, most)]
        sampled = [s if s.rows else self._statistics(session, s) for s in sampled]
        session.limit(self.fitter.limit_ms)
        there = self.given.work
        if there is None or time.monotonic() > self.fitter.deadline:
            fewer = [replace(s, rows=_spread(s.rows, self.fitter.most)) for s in sampled]
            texts = self._texts(fewer, _UNKNOWN_REACH, self.fitter.most)
            return FittedCall(tuple(texts), None, self._source(sampled))
        found = self._run(sampled, there)
        by_key = [replace(s, rows=s.by_key or s.rows) for s in sampled]
        pool = found.texts
        if self._off(found, there) > FACTOR and by_key != sampled:
            other = self._run(by_key, there)
            pool = (*pool, *other.texts)
            found = min(found, other, key=lambda f: self._off(f, there))
        return self._picked(pool, found, there) if self.fitter.is_picking else found

    def _off(self, found: FittedCall, there: CallWork) -> float:
        return math.inf if found.work is None else self._apart(found.work, there)

    def _apart(self, here: CallWork, there: CallWork) -> float:
        return blocks_apart(here, there) if self.given.is_limited else deviation(here, there)

    def _picked(self, texts: Sequence[str], found: FittedCall, there: CallWork) -> FittedCall:
        """Return few texts, rare values and usual ones; if these differ from production's calls, others that do not."""
        trial = CallTrial(self.fitter.asking)
        works = {text: trial.once(text) for text in dict.fromkeys(texts)}

        def off(some: Sequence[str]) -> float:
            return self._apart(mean([works[t] for t in some]), there)

        varied = few = _spread(tuple(dict.fromkeys(found.texts)), self.fitter.most)
        if off(few) > _GOOD:
            few = ()
            while len(few) < min(self.fitter.most, len(works)):
                best = min((t for t in works if t not in few), key=lambda t: off((*few, t)))
                if few and off((*few, best)) > max(off(few), _GOOD):
                    break
                few = (*few, best)
        few = varied if off(few) > FACTOR else few  # if nothing is alike, at least they differ
        return FittedCall(few, mean([works[t] for t in few]), found.values_from)

    def _run(self, sampled: Sequence[BlockSample], there: CallWork) -> FittedCall:
        most = MOST_SETS if self.fitter.is_picking else self.fitter.most
        texts = self._texts(sampled, (self._best_reach(sampled, there),), most)
        trial = CallTrial(self.fitter.asking)
        # the first time, caches of the session are cold
        first = trial.work(texts[:1])
        texts = texts[: max(1, int(_TRYING_MS / max(first.ms, 0.1)))]
        trial.work(dict.fromkeys(texts[1:]))
        return FittedCall(tuple(texts), trial.work(texts), self._source(sampled))

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
                rows = _USUAL_ROWS if self.given.work is None else self.given.work.rows
                hint = str(max(1, math.ceil(rows - 0.01)))
            kind = self.types[number]
            if hint is None or (hint and not _fits(hint, kind)):
                hint = "{}" if kind.endswith("[]") else _DEFAULTS.get(kind)
            if hint is None:
                raise NoValuesError(f"no value is known for ${number} of type {kind}")
            found[number] = hint
        return found

    def _statistics(self, session: SampleSession, sample: BlockSample) -> BlockSample:
        """Return rows made up of usual values, where a block has no rows."""
        columns = {}
        block = next(b for b in _flat(self.uses) if b.uses == sample.uses)
        for use in sample.uses:
            columns[use.number] = session.usual(block, use)
            if not columns[use.number]:
                raise NoValuesError(f"the copy has neither rows nor statistics for ${use.number}")
        self._from_statistics = True
        # columns are drawn apart: statistics know nothing of their correlation
        rows = (
            SampledRow({number: known[n % len(known)] for number, known in columns.items()})
            for n in range(MOST_SETS)
        )
        return BlockSample(sample.uses, tuple(rows))

    # Fitting

    def _best_reach(self, sampled: Sequence[BlockSample], there: CallWork) -> ValueReach:
        kinds = {u.use for s in sampled for u in s.uses}
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
                off = self._apart(here, there)
                if off < least:
                    best, least = current, off
                if off <= _GOOD or not is_reaching or time.monotonic() > self.fitter.deadline:
                    break
                current = ValueReach(current.rows * self._correction(here, there), prefix)
        return best

    def _tried(self, sampled: Sequence[BlockSample], reach: ValueReach) -> CallWork:
        texts = self._texts(sampled, (reach,), _FITTED_SETS)
        return CallTrial(self.fitter.asking).work(texts)

    def _correction(self, here: CallWork, there: CallWork) -> float:
        """Return by how much more rows are to be selected: by rows, or by blocks where a limit or a group decides."""
        by_rows = (there.rows + 0.1) / (here.rows + 0.1)
        by_blocks = (there.blocks + 1) / (here.blocks + 1)
        wanted = by_blocks if self.uses.is_grouped else by_rows
        return min(max(wanted, 1 / 64), 64.0)

    def _texts(
        self, sampled: Sequence[BlockSample], reaches: Sequence[ValueReach], most: int
    ) -> list[str]:
        """Return a text for each row, with the reaches in turn."""
        dice = Random(f"{self.fitter.seed} {self.given.query_id}")  # noqa: S311 - nothing secret
        constants = {number: (value,) for number, value in self._constants().items()}
        sets = max((len(s.rows) for s in sampled), default=1)
        texts = []
        for n in range(min(sets, most)):
            rows = [(s, s.rows[n % len(s.rows)]) for s in sampled]
            reach = reaches[n % len(reaches)]
            texts.append(self._written({**constants, **drawn(rows, reach, dice, self._between)}))
        return texts if len(set(texts)) > 1 else texts[:1]

    def _between(self, number: int, low: str, high: str, share: float) -> str:
        kind = self.types[number]
        between = interpolation.BETWEEN.get(_SHORT.get(kind, kind))
        if kind == "interval":
            between = "lo + (hi - lo) * f"
        return interpolated(self.fitter.asking, kind, between, low, high, share)

    def _written(self, values: Mapping[int, tuple[str, ...]]) -> str:
        lacking = parameters(self.text) - values.keys()
        if lacking:
            raise NoValuesError(f"no value is known for ${min(lacking)}")
        given = {
            number: ", ".join(constant(v, self.types[number]) for v in each)
            for number, each in values.items()
        }
        return with_values(self.text, lambda number, _start: given[number])


_SHORT = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}


def _spread(each: Sequence[T], most: int) -> tuple[T, ...]:
    """Return every so many of what is in order, from near its beginning to near its end."""
    step = max(1.0, len(each) / most)
    return tuple(each[int((n + 0.5) * step)] for n in range(min(len(each), most)))


def _flat(uses: ParameterUses) -> list[Any]:
    return [b for block in uses.blocks for b in (block, *block.alone)]


def _fits(hint: str, kind: str) -> bool:
    """Tell whether a hint is a value of a type."""
    if kind in ("smallint", "integer", "bigint", "numeric", "real", "double precision"):
        return hint.replace(".", "", 1).isdigit()
    if kind == "boolean":
        return hint in ("true", "false")
    return kind in ("text", "character varying", "bpchar", "name", "interval", "regconfig")
