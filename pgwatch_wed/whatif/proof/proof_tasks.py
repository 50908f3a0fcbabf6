"""The statements of a workload as they are run on a copy: with several sets of values each, or only planned."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pgwatch_wed.sqltext import statement
from pgwatch_wed.sqltext.reading import read
from pgwatch_wed.whatif import planner
from pgwatch_wed.whatif.model import Candidate, PlanError, Query
from pgwatch_wed.whatif.oracle import Oracle
from pgwatch_wed.whatif.proof import copies
from pgwatch_wed.whatif.proof.call_trial import CallWork, TrialFailedError
from pgwatch_wed.whatif.proof.copies import CopySession
from pgwatch_wed.whatif.proof.fitted_values import NoValuesError, ProductionCall, ValueFitter
from pgwatch_wed.whatif.proof.sampled_rows import SamplingLateError

EXHAUSTED = "the time for the verification was exhausted"
MOST_SETS = 5  # of values for a statement: from rare ones to those that most rows have
_SEED = 1
_FITTING_MS = 2000  # a call that takes longer is not fitted to what production's took
_FITTING_SHARE = 0.2  # of the time for the whole verification
_SAMPLING_SHARE = 0.5  # after it, statements get no values, so that those that have some can be run
_ENGLISH = {"lc_messages": "C"}  # messages name types; only a superuser may set it
_BOUND = "row-level security binds the role that runs it, and the copy is read by another"


@dataclass(frozen=True, slots=True)
class Task:
    """A statement as it is run on the copy, one text for each set of values; without texts, it is only planned.

    ``expected`` are the indexes that the oracle's plan uses, in case the copy cannot plan it.
    """

    query: Query
    weight: float
    texts: tuple[str, ...]
    expected: frozenset[Candidate]
    reason: str = ""
    is_bound: bool = False  # by policies that do not bind us: the copy would plan it otherwise


def tasks(
    copy: str,
    session: CopySession,
    queries: Sequence[Query],
    oracle: Oracle,
    indexes: Sequence[Candidate],
    seconds: float,
) -> list[Task]:
    """Return what to run, with values from the rows of the copy; ``seconds`` is the time for them and all runs."""
    with fitter_for(copy, session, seconds) as fitter:
        return [_task(q, oracle, indexes, fitter) for q in queries]


@contextmanager
def fitter_for(copy: str, session: CopySession, seconds: float) -> Iterator[ValueFitter]:
    """Yield what draws values, in a read-only session that plans like the target."""
    with copies.connected(copy) as asking:
        planner.apply(asking, {**session.settings, **_ENGLISH})
        settings = {
            "default_transaction_read_only": "on",
            "search_path": session.path,
        }
        for name, value in settings.items():
            asking.execute("select pg_catalog.set_config(%s, %s, false)", [name, value])
        began = time.monotonic()
        fitting, sampling = (began + s * seconds for s in (_FITTING_SHARE, _SAMPLING_SHARE))
        yield ValueFitter(asking, _SEED, _FITTING_MS, MOST_SETS, fitting, sampling, is_picking=True)


def _task(query: Query, oracle: Oracle, indexes: Sequence[Candidate], fitter: ValueFitter) -> Task:
    # weights of costs are not weights of times: a measured query is weighted by its calls
    weight = query.calls if query.calls is not None else query.weight
    task = Task(query, weight, (query.sql,), frozenset())
    try:
        plan = oracle.plan(query, indexes)
        task = replace(task, expected=plan.used)
        if oracle.is_bound(query, plan.tree):
            return replace(task, texts=(), reason=_BOUND, is_bound=True)
        if query.is_write:
            return replace(task, texts=(), reason="it changes data, so it is only planned")
        if read(query.sql).locks_rows:  # which a transaction that only reads must not
            return replace(task, texts=(), reason="it locks rows, so it is only planned")
        if query.has_parameters:
            task = replace(task, texts=_with_values(query, oracle, fitter))
    except (PlanError, NoValuesError) as error:
        return replace(task, texts=(), reason=str(error))
    except SamplingLateError:
        return replace(task, texts=(), reason=EXHAUSTED)
    return task


def _with_values(query: Query, oracle: Oracle, fitter: ValueFitter) -> tuple[str, ...]:
    columns = oracle.catalog.types_in(statement.parse(query.sql).relations)
    typed = fitter.typed(query.sql, columns.get)
    is_limited = read(query.sql).has_limit
    call = ProductionCall(query.query_id or 0, _work(query), is_limited)
    try:
        found = fitter.fitted(typed, call)
    except TrialFailedError:
        # it takes too long to be tried often, or fails: then how, is said when it is run
        found = fitter.fitted(typed, replace(call, work=None))
    return tuple(dict.fromkeys(found.texts))


def _work(query: Query) -> CallWork | None:
    if query.rows is None or query.blocks is None or not query.calls:
        return None
    return CallWork(query.rows, query.blocks, (query.total_ms or 0.0) / query.calls)
