"""Verification of a recommended set: it is built on a copy, run there, and losers are rejected.

Nothing is left behind: the indexes are dropped even if the verification fails, and those of a killed
one by the next. Subsets are tried without building anything twice, by dropping the rest in a
transaction that is rolled back; a plan that has been measured is not run again.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import CollectError, Error, said
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.target import connect, wire
from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif.model import Candidate, PlanError, Query, Rejected
from pgwatch_wed.whatif.oracle import Oracle
from pgwatch_wed.whatif.proof import copies
from pgwatch_wed.whatif.proof.copies import CopySession
from pgwatch_wed.whatif.proof.proof_tasks import EXHAUSTED, Task
from pgwatch_wed.whatif.proof.proof_tasks import tasks as to_run
from pgwatch_wed.whatif.proof.stopwatch import NotRunError, Run, Shape, Stopwatch
from pgwatch_wed.whatif.proof.truth import IndexTruth, Loser, QueryTruth, Verified, VerifyOptions

_PREFIX = "pgwatch_wed_verify_"
_HURT = 1.2  # a query that takes longer than this multiple of its original time is hurt
_LEAST_LOSS_MS = 0.2
_PAYS = 20.0  # an index may hurt a query if others save this many times as much
_NOISE = 0.002  # of the whole workload's time; less is not a gain
_GRACE = 3.0  # a query that takes this many times as long as before is canceled
_LEAST_LIMIT_MS = 250.0
_BUILD_MS = 3_600_000

Kept = frozenset[str]


@dataclass(frozen=True, slots=True)
class Built:
    """An index that exists on the copy, under a temporary name."""

    index: Candidate
    name: str
    size_bytes: int
    seconds: float


def verify(
    copy: str,
    target: str,
    indexes: Sequence[Candidate],
    queries: Sequence[Query],
    oracle: Oracle,
    options: VerifyOptions | None = None,
    progress: Progress = silent,
) -> Verified:
    """Build indexes on a copy of the target, run the queries, and report which were worth it.

    The queries must plan on the oracle. Raises :class:`pgwatch_wed.errors.Error` kinds; a query
    that fails there is listed in ``not_run``, and an index that cannot be built in ``losers``.
    """
    wanted = options or VerifyOptions()
    with copies.opened(copy, target) as session:
        _clear(session.connection)
        began = time.monotonic()
        tasks = to_run(copy, session, queries, oracle, indexes, wanted.seconds)
        # values and runs share the time; how long the indexes take to build is nobody's choice
        left = replace(wanted, seconds=wanted.seconds - (time.monotonic() - began))
        with _standing(copy, session, indexes, progress) as (built, failed):
            trial = _Trial(session, built, tasks, left, progress)
            found = trial.run()
    return replace(
        found,
        copy=connect.label(copy),
        losers=(*failed, *found.losers),
        notes=(*session.notes, *found.notes),
    )


# Building


@contextmanager
def _standing(
    copy: str, session: CopySession, indexes: Sequence[Candidate], progress: Progress
) -> Iterator[tuple[list[Built], list[Loser]]]:
    """Build indexes for the duration of a ``with`` block."""
    built: list[Built] = []
    failed: list[Loser] = []
    try:
        for number, index in enumerate(indexes):
            progress(f"building index {number + 1} of {len(indexes)}", 0.4 * number / len(indexes))
            try:
                built.append(_build(session, index, f"{_PREFIX}{number}"))
            except psycopg.Error as error:
                if session.connection.closed:
                    raise
                failed.append(
                    Loser(index, index.ddl(), f"it could not be built on the copy: {said(error)}")
                )
        yield built, failed
    except psycopg.Error as error:
        raise CollectError(
            f"the copy failed: {said(error)}",
            "check that it is running and not used by anyone else",
        ) from None
    finally:
        wire.end(session.connection)
        _take_down(copy, [(i.schema, f"{_PREFIX}{n}") for n, i in enumerate(indexes)])


def _build(session: CopySession, index: Candidate, name: str) -> Built:
    connection = session.connection
    connection.execute(
        "select pg_catalog.set_config('statement_timeout', %s, false)", [f"{_BUILD_MS}ms"]
    )
    began = time.monotonic()
    with connection.transaction():
        connection.execute("select pg_catalog.set_config('search_path', %s, true)", [session.path])
        connection.execute(index.ddl(name).encode())
    seconds = time.monotonic() - began
    if any(key.column is None for key in index.keys):
        # the planner knows nothing about an expression until then
        connection.execute(sql.SQL("analyze {}").format(sql.Identifier(index.schema, index.table)))
    return Built(index, name, _named_apart(connection, index.schema, name), seconds)


def _named_apart(connection: psycopg.Connection[Any], schema: str, name: str) -> int:
    """Give the indexes of partitions names by which plans identify them; return their total size."""
    wanted = {"schema": schema, "name": name}
    parts = connection.execute(composed("copy", "index_sizes"), wanted).fetchall()
    rename = sql.SQL("alter index {} rename to {}")
    for number, (namespace, part, _) in enumerate(parts):
        if part != name:
            new = sql.Identifier(f"{name}_{number}")
            connection.execute(rename.format(sql.Identifier(namespace, part), new))
    return sum(int(size) for _, _, size in parts)


def _clear(connection: psycopg.Connection[Any]) -> None:
    """Drop what a killed verification left behind; only one runs at a time."""
    rows = connection.execute(composed("copy", "left_over"), {"prefix": _PREFIX}).fetchall()
    for schema, name in rows:
        connection.execute(sql.SQL("drop index {}").format(sql.Identifier(schema, name)))


def _take_down(copy: str, names: Sequence[tuple[str, str]]) -> None:
    """Drop the indexes in a separate session: the other may be in any state."""
    try:
        with copies.connected(copy) as connection:
            for schema, name in names:
                drop = sql.SQL("drop index if exists {}").format(sql.Identifier(schema, name))
                connection.execute(drop)
    except (psycopg.Error, Error) as error:
        raise CollectError(
            f"indexes named {_PREFIX}… could not be dropped from the copy: {error}",
            "the next verification will drop them, or drop them manually",
        ) from None


# Measuring


class _Trial:
    """The search for the subset that really helps."""

    def __init__(
        self,
        session: CopySession,
        built: Sequence[Built],
        tasks: Sequence[Task],
        options: VerifyOptions,
        progress: Progress,
    ) -> None:
        self._watch = Stopwatch(session.connection, options.repetitions, session.path)
        self._built = {b.name: b for b in built}
        self._tasks = {t.query.name: t for t in tasks}
        self._options = options
        self._progress = progress
        self._deadline = time.monotonic() + options.seconds
        self._not_run = {t.query.name: t.reason for t in tasks if not t.texts}
        # one for each set of values
        self._shapes: dict[tuple[str, Kept], tuple[Shape, ...]] = {}
        self._runs: dict[tuple[str, int, str], Run] = {}
        self._forgiven: set[str] = set()
        self._losers: list[Loser] = []

    def run(self) -> Verified:
        """Measure, drop losers, and return the result."""
        everything = frozenset(self._built)
        self._look(everything, self._tasks)
        self._look(frozenset(), self._tasks)
        moved = {n for n in self._tasks if self._is_moved(n, everything)}
        runnable = [n for n in self._tasks if n not in self._not_run]
        measured = runnable if self._options.measure_all else [n for n in runnable if n in moved]
        self._measure(frozenset(), measured)
        self._measure(everything, measured)
        kept = self._without_idle(everything)
        kept = self._without_hurt(kept, measured)
        kept = self._without_useless(kept, measured)
        unchanged = len([n for n in runnable if n not in measured and n not in self._not_run])
        return self._told(kept, measured, unchanged)

    # Planning and running

    def _look(self, kept: Kept, names: Iterable[str]) -> None:
        """Plan queries with only some of the indexes; what cannot be planned is noted."""
        missing = [n for n in names if (n, kept) not in self._shapes]
        if not missing:
            return
        with self._only(kept):
            for name in missing:
                self._look_at(kept, name)

    def _look_at(self, kept: Kept, name: str) -> None:
        task = self._tasks[name]
        is_open = not task.texts and task.query.has_parameters
        try:
            if task.is_bound:
                shapes = [self._expected(task, kept)]
            else:
                texts = task.texts or (task.query.sql,)
                shapes = [self._watch.shape(text, has_parameters=is_open) for text in texts]
        except PlanError as error:
            words = error.kind if task.texts and task.query.has_parameters else str(error)
            self._not_run.setdefault(name, f"the copy cannot plan it: {words}")
            shapes = [self._expected(task, kept)]
        self._shapes[name, kept] = tuple(
            replace(s, used=frozenset(map(_whole, s.used))) for s in shapes
        )

    def _expected(self, task: Task, kept: Kept) -> Shape:
        names = frozenset(n for n, b in self._built.items() if b.index in task.expected)
        return Shape("", names & kept, is_parallel=False)

    def _measure(self, kept: Kept, names: Sequence[str]) -> None:
        """Run queries with only some of the indexes, those whose plan was not run before."""
        self._look(kept, names)
        new = [
            n
            for n in names
            if n not in self._not_run and not self._runs.keys() >= set(self._keys(n, kept))
        ]
        if not new:
            return
        with self._only(kept):
            for number, name in enumerate(new):
                self._progress(f"running {name}", 0.4 + 0.6 * number / len(new))
                self._run(kept, name)

    def _run(self, kept: Kept, name: str) -> None:
        """Run a query with each set of values with which its plan was not run before."""
        for key, text in zip(self._keys(name, kept), self._tasks[name].texts, strict=True):
            if key in self._runs:
                continue
            if self._is_late():
                self._not_run[name] = EXHAUSTED
                return
            try:
                run = self._watch.run(text, self._limit_ms(name, key[1]))
            except NotRunError as error:
                has_drawn = self._tasks[
                    name
                ].query.has_parameters  # values that are nobody's business
                self._not_run[name] = error.told if has_drawn else f"it fails on the copy: {error}"
                return
            if not run.is_complete and not kept:
                self._not_run[name] = f"it takes longer than {self._options.timeout_s:.0f} s"
                return
            self._runs[key] = run

    def _limit_ms(self, name: str, number: int) -> float:
        most = self._options.timeout_s * 1000
        before = self._runs.get(self._keys(name, frozenset())[number])
        if before is None:
            return most
        return min(most, max(_LEAST_LIMIT_MS, _GRACE * before.elapsed_ms))

    @contextmanager
    def _only(self, kept: Kept) -> Iterator[None]:
        gone = [b for name, b in self._built.items() if name not in kept]
        with self._watch.without((b.index.schema, b.name) for b in gone):
            yield

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    # Results so far

    def _keys(self, name: str, kept: Kept) -> list[tuple[str, int, str]]:
        """Return what identifies the runs of a query with a set: one for each set of values."""
        return [(name, number, s.text) for number, s in enumerate(self._shapes[name, kept])]

    def _used(self, name: str, kept: Kept) -> frozenset[str]:
        return frozenset().union(*(s.used for s in self._shapes[name, kept]))

    def _is_moved(self, name: str, kept: Kept) -> bool:
        return self._keys(name, kept) != self._keys(name, frozenset())

    def _users(self, index: str, kept: Kept) -> list[str]:
        return [n for n in self._tasks if index in self._used(n, kept)]

    def _ms(self, name: str, kept: Kept) -> float:
        """Return the time of a query with a set of indexes, on average over its values."""
        return fmean(self._each_ms(name, kept))

    def _each_ms(self, name: str, kept: Kept) -> list[float]:
        """Return the time with each set of values: CPU time, unless parallel workers helped."""
        shapes = (*self._shapes[name, frozenset()], *self._shapes[name, kept])
        runs = [self._runs[key] for key in self._keys(name, kept)]
        cpu = [run.cpu_ms for run in runs if run.cpu_ms is not None]
        if len(cpu) < len(runs) or any(s.is_parallel for s in shapes):
            return [run.elapsed_ms for run in runs]
        return cpu

    def _buffers(self, name: str, kept: Kept) -> int:
        return round(fmean(self._runs[key].buffers for key in self._keys(name, kept)))

    def _total(self, kept: Kept, names: Iterable[str]) -> float:
        return sum(
            self._tasks[n].weight * self._ms(n, kept) for n in names if n not in self._not_run
        )

    # Choosing

    def _without_idle(self, kept: Kept) -> Kept:
        """Remove what no plan uses."""
        used = {i for n in self._tasks for i in self._used(n, kept)}
        for name in sorted(kept - used):
            self._lose(name, "no plan on the copy uses it")
        smaller = kept & used
        for name in self._tasks:  # removing an index that no plan used changes no plan
            self._shapes[name, smaller] = self._shapes[name, kept]
        return smaller

    def _without_hurt(self, kept: Kept, names: Sequence[str]) -> Kept:
        """Remove what makes a query slower, unless it saves others far more."""
        while not self._is_late():
            hurt = self._worst(kept, names)
            if hurt is None:
                return kept
            kept = self._cured(kept, names, hurt)
        return kept

    def _worst(self, kept: Kept, names: Sequence[str]) -> str | None:
        losses = {
            n: self._tasks[n].weight * self._loss_ms(n, kept)
            for n in names
            if n not in self._not_run and n not in self._forgiven and self._is_hurt(n, kept)
        }
        return max(losses, key=lambda n: losses[n], default=None)

    def _loss_ms(self, name: str, kept: Kept) -> float:
        return self._ms(name, kept) - self._ms(name, frozenset())

    def _is_hurt(self, name: str, kept: Kept) -> bool:
        before, after = self._ms(name, frozenset()), self._ms(name, kept)
        return after > _HURT * before and after - before > _LEAST_LOSS_MS

    def _cured(self, kept: Kept, names: Sequence[str], hurt: str) -> Kept:
        """Return the set without what hurts a query, at the lowest loss for the others."""
        used = self._used(hurt, kept) & kept
        trials = list(dict.fromkeys([*(kept - {i} for i in sorted(used)), kept - used]))
        for trial in trials:
            self._measure_smaller(trial, kept, names)
        if hurt in self._not_run:  # the time was up, or it failed: nothing is known of a cure
            return kept
        cures = [t for t in trials if not self._is_hurt(hurt, t)]
        if not cures:
            self._forgiven.add(hurt)
            return kept
        best = min(cures, key=lambda t: self._total(t, names))
        price = self._total(best, names) - self._total(kept, names)
        loss = self._tasks[hurt].weight * self._loss_ms(hurt, kept)
        if price > _PAYS * loss:
            self._forgiven.add(hurt)
            return kept
        factor = self._ms(hurt, kept) / max(self._ms(hurt, frozenset()), 0.01)
        for name in sorted(kept - best):
            self._lose(name, f"{hurt} takes {factor:.1f} times as long with it")
        return self._without_idle(best)

    def _measure_smaller(self, smaller: Kept, kept: Kept, names: Sequence[str]) -> None:
        """Measure a smaller set, in which only queries that used what is removed can differ."""
        gone = kept - smaller
        for name in self._tasks:
            if not self._used(name, kept) & gone:
                self._shapes[name, smaller] = self._shapes[name, kept]
        self._look(smaller, self._tasks)
        self._measure(smaller, names)

    def _without_useless(self, kept: Kept, names: Sequence[str]) -> Kept:
        """Remove, least useful first, what saves nothing in addition to the others."""
        least = _NOISE * self._total(frozenset(), names)
        while not self._is_late():
            gains = {i: gain for i in kept if (gain := self._gain(i, kept, names)) is not None}
            worst = min(gains, key=lambda i: gains[i], default=None)
            if worst is None or gains[worst] > least:
                return kept
            self._lose(worst, "it saves no measurable time in addition to the others")
            kept = self._without_idle(kept - {worst})
        return kept

    def _gain(
        self, index: str, kept: Kept, names: Sequence[str], *, partly: bool = False
    ) -> float | None:
        """Return what an index saves in addition to the others, or None if that cannot be measured.

        ``partly`` allows that only some of the queries that use it were run.
        """
        users = self._users(index, kept)
        ran = [n for n in users if n not in self._not_run]
        if self._is_late() or not (ran if partly else len(ran) == len(users)):
            return None
        rest = kept - {index}
        self._measure_smaller(rest, kept, names)
        if not self._not_run.keys().isdisjoint(ran):  # the time was up, or one failed without it
            return None
        known = [n for n in names if n not in self._not_run]
        return self._total(rest, known) - self._total(kept, known)

    def _lose(self, name: str, reason: str) -> None:
        index = self._built[name].index
        self._losers.append(Loser(index, index.ddl(), reason))

    # Results

    def _told(self, kept: Kept, names: Sequence[str], unchanged: int) -> Verified:
        ran = [n for n in names if n not in self._not_run]
        indexes = [
            IndexTruth(b.index, b.index.ddl(), b.size_bytes, b.seconds, gain)
            for n, b in self._built.items()
            if n in kept
            for gain in [self._gain(n, kept, names, partly=True)]
        ]
        notes = (
            f"{n} is slower with these indexes, but others gain far more"
            for n in sorted(self._forgiven)
            if n in ran and self._is_hurt(n, kept)
        )
        return Verified(
            copy="",
            clock="cpu" if self._watch.has_cpu else "elapsed",
            repetitions=self._options.repetitions,
            before_ms=self._total(frozenset(), ran),
            after_ms=self._total(kept, ran),
            queries=tuple(self._query_truth(n, kept) for n in ran),
            indexes=tuple(indexes),
            losers=tuple(self._losers),
            not_run=tuple(Rejected(n, r) for n, r in self._not_run.items()),
            unchanged=unchanged,
            notes=tuple(notes),
        )

    def _query_truth(self, name: str, kept: Kept) -> QueryTruth:
        pairs = zip(self._each_ms(name, frozenset()), self._each_ms(name, kept), strict=True)
        return QueryTruth(
            name,
            self._ms(name, frozenset()),
            self._ms(name, kept),
            self._buffers(name, frozenset()),
            self._buffers(name, kept),
            self._tasks[name].weight,
            tuple(self._built[n].index.ddl() for n in sorted(self._used(name, kept) & kept)),
            sets=len(self._tasks[name].texts),
            there_buffers=self._tasks[name].query.blocks,
            worst=max(after / max(before, _LEAST_LOSS_MS) for before, after in pairs),
        )


def _whole(name: str) -> str:
    """Return the name of the whole index for that of one of its partitions."""
    if not name.startswith(_PREFIX):
        return name
    return _PREFIX + name.removeprefix(_PREFIX).partition("_")[0]
