"""Which oracle is used for a target."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Grade
from pgwatch_wed.postgres import named, reliability, value_skew
from pgwatch_wed.postgres.index_grades import promised
from pgwatch_wed.postgres.value_skew import Skew
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import authority
from pgwatch_wed.remedies.indexes import IndexBuilder, drop
from pgwatch_wed.target.collect import CollectLimits, collect
from pgwatch_wed.whatif import second_opinion, workload
from pgwatch_wed.whatif.choose.advise import Advice, AdviceOptions, Advisor, IndexAdvice
from pgwatch_wed.whatif.hypopg import HypoPG
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.oracle import Oracle
from pgwatch_wed.whatif.proof import copies
from pgwatch_wed.whatif.proof.truth import IndexTruth, Verified, VerifyOptions
from pgwatch_wed.whatif.proof.verify import verify
from pgwatch_wed.whatif.workload import Workload

ENGINES = ("auto", "hypopg", "lab")

# What scripts depend on: partitions, their indexes, and the names in use.
_FACTS = (
    *("tables", "other_relations", "indexes", "constraints", "sequences", "index_definitions"),
    *("rights", "schemas", "role_settings"),
)
# What tells whether the statistics that plans rest on can be relied on.
_RELIABILITY = ("settings", "table_activity", "columns", "column_statistics")
_STATEMENTS = ("statements_info", "statements")
_LIMITS = CollectLimits(max_texts=workload.MAX_STATEMENTS, max_text_chars=1_000_000)
_ONLY_BY_ESTIMATE = "an index lowers its estimated cost, but was rejected by the verification"


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the target to build and measure on, and how."""

    conninfo: str
    options: VerifyOptions = field(default_factory=VerifyOptions)


@contextmanager
def oracle(
    conninfo: str,
    engine: str = "auto",
    seconds: float = 120,
    users: Collection[str] = (),
    jobs: int | None = None,
) -> Iterator[Oracle]:
    """Yield the oracle for a target: the lab if statistics can be read, else HypoPG.

    ``users`` are the roles whose statements will be planned, to which row-level security may apply; ``jobs`` is how many
    statements the lab plans at once.

    Raises :class:`UsageError` for an unknown engine, and the engine's own errors.
    """
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}", f"use one of {', '.join(ENGINES)}")
    with ExitStack() as stack:
        yield _opened(stack, conninfo, engine, seconds, users, jobs)


def _opened(
    stack: ExitStack,
    conninfo: str,
    engine: str,
    seconds: float,
    users: Collection[str],
    jobs: int | None,
) -> Oracle:
    if engine == "hypopg":
        return stack.enter_context(HypoPG(conninfo))
    try:
        return stack.enter_context(source.open_lab(conninfo, seconds, users, jobs))
    except Error as error:
        if engine == "lab":
            raise
        try:
            found = stack.enter_context(HypoPG(conninfo))
        except Error:
            raise error from None
        found.notes.append(f"the lab could not be built ({error.message}); HypoPG was used instead")
        return found


def _read(conninfo: str, folder: Path | None) -> tuple[Workload, Snapshot]:
    """Return the workload of a directory, or by default of pg_stat_statements, and the target's snapshot."""
    if folder is not None:
        found = workload.from_folder(folder)
        return found, collect(conninfo, only=(*_FACTS, *_RELIABILITY))
    here = collect(conninfo, limits=_LIMITS, only=(*_FACTS, *_RELIABILITY, *_STATEMENTS))
    return workload.from_snapshot(here, workload.MAX_STATEMENTS), here


def advise_target(
    conninfo: str,
    folder: Path | None = None,
    options: AdviceOptions | None = None,
    engine: str = "auto",
    progress: Progress = silent,
    copy: Copy | None = None,
) -> Advice:
    """Find indexes for a target: read the workload, open an oracle, search; hear the target's planner, then verify on a copy.

    Raises :class:`pgwatch_wed.errors.Error` kinds; changes nothing on the target.
    """
    wanted = options or AdviceOptions()
    if copy is not None:
        copies.check(copy.conninfo, conninfo)
    work, here = _read(conninfo, folder)
    progress("building the lab", 0.02)
    users = {user for query in work.queries for user in (query.user, *query.others) if user}
    with oracle(conninfo, engine, wanted.seconds, users, wanted.jobs) as answers:
        advisor = Advisor(answers, work, wanted, progress, here.relation_names)
        advice = advisor.run()
        found = []
        if answers.engine == "lab":
            found = second_opinion.differences(
                conninfo, here, answers, advisor.queries, advisor.seconds_left
            )
        if copy is not None and advice.indexes:
            advice = _verified(advisor, advice, answers, copy, conninfo, progress)
        advice = second_opinion.told(advice, found)
    return scripted(advice, here)


def scripted(advice: Advice, here: Snapshot) -> Advice:
    """Add the scripts that build each index on the target and drop what is then redundant."""
    builder = IndexBuilder(here)
    existing = {ident(i.schema, i.name): i for i in here.indexes}

    def with_script(one: IndexAdvice) -> IndexAdvice:
        dropped = [existing[name] for name in one.makes_redundant if name in existing]
        script = builder.named(one.index.schema, one.index.table, one.ddl, one.name)
        flaws, skew = tuple(_flaws(here, one)), _skew(here, one)
        return replace(
            one,
            grade=_grade(one, advice.verified, is_flawed=bool(flaws), skew=skew),
            script=script,
            run_as=authority.run_as(here, script.sql),
            drops=tuple(drop(here, index).sql for index in dropped),
            caveats=(*flaws, *([skew.text] if skew else []), *one.caveats, *_unusable(here, one)),
        )

    return replace(advice, indexes=tuple(map(with_script, advice.indexes)))


def _grade(
    one: IndexAdvice, found: Verified | None, *, is_flawed: bool, skew: Skew | None = None
) -> Grade:
    """Return how sure the gain is: measured, planned with the table's statistics, or guessed."""
    for each in found.indexes if found is not None else ():
        if each.index == one.index:
            return _measured_grade(one, each, found)
    is_guessed = bool(one.guesses) or is_flawed
    grade = promised(one.index.method, is_doubted=bool(one.doubts), is_guessed=is_guessed)
    return max(grade, skew.grade) if skew is not None else grade


def _measured_grade(one: IndexAdvice, index: IndexTruth, found: Verified | None) -> Grade:
    """Return how sure a gain is that was measured: of all statements, with values that act like production's; or not."""
    if index.bought_ms is None or index.bought_ms <= 0 or found is None:
        return Grade.C  # of several statements that use it, those that ran gain nothing
    users = [q for q in found.queries if index.ddl in q.indexes]
    ran_all = {r.query for r in found.not_run}.isdisjoint(one.queries)
    return Grade.A if ran_all and all(q.is_alike for q in users) else Grade.B


def _skew(here: Snapshot, one: IndexAdvice) -> Skew | None:
    """Return how skewed the columns are that an index finds unknown values of."""
    table = named.table(here, one.index.schema, one.index.table)
    if table is None or not here.missing.keys().isdisjoint(_RELIABILITY):
        return None
    columns = (named.column(here, table, name) for name in one.equated)
    return value_skew.skew(here, table, [c for c in columns if c is not None])


def _flaws(here: Snapshot, one: IndexAdvice) -> Iterator[str]:
    """Yield why the estimates of an index may be wrong."""
    table = named.table(here, one.index.schema, one.index.table)
    if table is not None and here.missing.keys().isdisjoint(_RELIABILITY):
        yield from (flaw.text for flaw in reliability.flaws(here, table, one.index.columns))


def _unusable(here: Snapshot, one: IndexAdvice) -> Iterator[str]:
    """Yield which indexes that begin with the same column no query can use: the lab does not have them."""
    table = named.table(here, one.index.schema, one.index.table)
    name = one.index.keys[0].column
    first = named.column(here, table, name) if table is not None and name is not None else None
    if table is None or first is None:
        return
    for index in here.indexes_of[table.oid]:
        is_alike = index.access_method == one.index.method and index.kind == "i"
        if is_alike and not index.is_usable and index.columns[:1] == (first.attnum,):
            yield (
                f"{ident(index.schema, index.name)}, which begins with the same column, is invalid, or still being built:"
                " rebuild or drop it first, for this index may then do less."
            )


def _verified(
    advisor: Advisor,
    advice: Advice,
    answers: Oracle,
    copy: Copy,
    conninfo: str,
    progress: Progress,
) -> Advice:
    """Return the advice without the indexes that bring no gain on a copy."""
    indexes = [i.index for i in advice.indexes]
    found = verify(
        copy.conninfo, conninfo, indexes, advisor.queries, answers, copy.options, progress
    )
    kept = advisor.told(each.index for each in found.indexes) if found.losers else advice
    lost = {g.name for g in advice.per_query if g.indexes}
    rejected = tuple(
        replace(r, reason=_ONLY_BY_ESTIMATE) if r.query in lost else r for r in kept.rejected
    )
    return replace(
        kept,
        rejected=rejected,
        verified=found,
        whatif_calls=advice.whatif_calls,
        seconds=advice.seconds,
    )
