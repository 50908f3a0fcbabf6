"""Blocks with samples → causes of DB time, best suspect first. Pure.

What is ranked is what can be taken away: lock waits count for what the session at the head of the queue did, and the locks
themselves come after it, as its symptom. Nothing here proves anything; that is what removing a cause is for.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Grade
from pgwatch_wed.load.load_model import Block
from pgwatch_wed.load.sampling.active_samples import ActiveSamples, SampledStatement, together
from pgwatch_wed.load.sampling.cause_parts import PartKey, TimePart, parts_of, work_of
from pgwatch_wed.load.sampling.cause_texts import cause_text
from pgwatch_wed.load.sampling.load_causes import CauseQuery, LoadCause
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind
from pgwatch_wed.load.sampling.profiled_samples import profile_notes, profiled
from pgwatch_wed.load.sampling.server_evidence import server_evidence
from pgwatch_wed.load.sampling.statement_evidence import WorkDoubt, with_text, work_doubts
from pgwatch_wed.load.sampling.wait_kinds import LOCKS
from pgwatch_wed.load.statistics.student import t_quantile

MIN_SHARE = 0.01
_MIN_LOOKS = 10
_MIN_BLOCKS = 3  # for an interval
_MOST_QUERIES = 5
_SUSPECT_SHARE = 0.05  # of DB time: statements that take less are not looked into
_MISCOUNT = 0.2
_NEEDLESS = (
    Kind.MISSING_INDEX,
    Kind.TEMP_FILES,
    Kind.JIT,
    Kind.PLANNING,
    Kind.FULL_PAGE_IMAGES,
)
_GRADES = {
    Kind.MISSING_INDEX: Grade.C,
    Kind.TEMP_FILES: Grade.C,
    Kind.JIT: Grade.C,
    Kind.PLANNING: Grade.C,
    Kind.CHECKPOINT: Grade.D,
    Kind.FULL_PAGE_IMAGES: Grade.D,
    Kind.CONNECTIONS: Grade.C,
    Kind.NOT_EXPLAINED: Grade.D,
    Kind.OTHER: Grade.D,
}


@dataclass(frozen=True, slots=True)
class CauseRanking:
    """The causes, and ``doubts``: what cannot be told, or not be believed, each in one sentence."""

    causes: tuple[LoadCause, ...]
    doubts: tuple[str, ...] = ()


def ranked_causes(blocks: Sequence[Block], delta: Snapshot | None = None) -> CauseRanking:
    """Rank what held up the load of these blocks; ``delta`` is the difference of the snapshots around them."""
    samples = samples_of(blocks)
    connecting = _connecting(blocks, samples, delta)
    looks = sum(s.looks for s in samples)
    if looks < _MIN_LOOKS:
        why = next((s.failure for s in samples if s.failure), "")
        reason = f"sessions were looked at only {units.count(looks, 'time')}"
        return CauseRanking(connecting, (f"{reason}{f': {why}' if why else ''}",))
    if not sum(s.db_seconds for s in samples):
        return CauseRanking(connecting, (*_doubts(samples, delta), "no session was active"))
    needless = _needless(samples, delta)
    is_told = any(c.kind is Kind.TEMP_FILES for c in needless)
    waits = [c for c in _waits(samples, delta) if c.kind is not Kind.TEMP_FILES or not is_told]
    causes = [*waits, *needless, *connecting]
    return CauseRanking(tuple(_ordered(causes)), _doubts(samples, delta))


def samples_of(blocks: Sequence[Block]) -> list[ActiveSamples]:
    """Return what the sampler saw in blocks that have it, with the waits of pg_wait_sampling's profile where it is."""
    return [profiled(b.samples) for b in blocks if isinstance(b.samples, ActiveSamples)]


def _waits(samples: Sequence[ActiveSamples], delta: Snapshot | None) -> list[LoadCause]:
    by_block = [(s.db_seconds, parts_of(s.flows)) for s in samples if s.db_seconds]
    total = sum(seconds for seconds, _ in by_block)
    counted = server_evidence(delta)
    statements = _statements(samples, delta)
    found = []
    for key, part in parts_of(together(samples)).items():
        if part.seconds / total < MIN_SHARE:
            continue
        shares = [
            parts[key].seconds / seconds if key in parts else 0.0 for seconds, parts in by_block
        ]
        cause = _cause(key, part, total, _interval(shares), statements)
        cause = replace(cause, evidence={**cause.evidence, **counted.get(key.kind, {})})
        if key.kind is Kind.CHECKPOINT and not cause.evidence.get("checkpoints_requested"):
            continue  # those that come by time are as they should be
        found.append(_computing(cause, samples) if key.kind is Kind.QUERY_CPU else cause)
    return found


def _cause(
    key: PartKey,
    part: TimePart,
    total: float,
    interval: tuple[float, float] | None,
    statements: Mapping[str, SampledStatement],
) -> LoadCause:
    share, direct = (min(s / total, 1.0) for s in (part.seconds, part.direct_s))
    others = Counter(
        {k: s for k, s in part.charged.items() if k not in (key.kind, Kind.NOT_EXPLAINED)}
    )
    is_symptom = others.total() >= part.seconds / 2 > 0
    is_charged = part.direct_s < part.seconds / 2 or key.kind in LOCKS
    return LoadCause(
        kind=key.kind,
        share=share,
        direct=direct,
        interval=interval,
        queries=_queries(part.queries, total, statements),
        text=cause_text(key.kind, part, share, direct, ""),
        grade=_GRADES.get(key.kind, Grade.C if is_charged else Grade.B),
        symptom_of=others.most_common(1)[0][0] if is_symptom else None,
        evidence={
            "seconds": round(part.seconds, 3),
            "samples": part.samples,
            "waits": {n: round(s / total, 4) for n, s in part.waits.most_common(5)},
            **({"holders": dict(_shares(part.holders, total))} if part.holders else {}),
            **(
                {"holders_did": {k.value: round(s / total, 4) for k, s in part.charged.items()}}
                if part.charged
                else {}
            ),
        },
    )


def _shares(seconds: Counter[str], total: float) -> list[tuple[str, float]]:
    return [(name, round(s / total, 4)) for name, s in seconds.most_common(5)]


def _computing(cause: LoadCause, samples: Sequence[ActiveSamples]) -> LoadCause:
    """Say how far time without a wait event can be computing: there are only so many cores."""
    cores = {s.server_cores for s in samples}
    length = sum(s.seconds for s in samples)
    running = sum(s.mean_running * s.seconds for s in samples) / length
    if None in cores:
        text = "Whether it computed or waited for a core is not known: the server's machine is not visible from here."
        return replace(cause, text=f"{cause.text} {text}", grade=Grade.C)
    over = sum((s.running_over_cores or 0) * s.mean_running * s.seconds for s in samples)
    over /= running * length or 1.0
    if over < 0.1:
        return cause
    (count, *_) = sorted(c for c in cores if c)
    text = f"On average {running:.3g} processes were ready to run on {units.count(count, 'core')}: at least {units.share(over)} of the time without a wait event was waiting for a core."
    return replace(cause, text=f"{cause.text} {text}", grade=Grade.C)


def _needless(samples: Sequence[ActiveSamples], delta: Snapshot | None) -> list[LoadCause]:
    """Return what the counters say against the statements that take the time."""
    if delta is None:
        return []
    total = sum(s.db_seconds for s in samples)
    by_block = [(s.db_seconds, work_of(s.flows)) for s in samples if s.db_seconds]
    statements = _statements(samples, delta)
    found = []
    for key, part in work_of(together(samples)).items():
        statement = statements.get(key)
        if statement is None or part.seconds / total < _SUSPECT_SHARE:
            continue
        shares = [w[key].seconds / s if key in w else 0.0 for s, w in by_block]
        for doubt in work_doubts(statement, delta):
            interval = _interval([share * doubt.part for share in shares])
            found.append(_suspected(doubt, part, total, interval, statement))
    return found


def _suspected(
    doubt: WorkDoubt,
    part: TimePart,
    total: float,
    interval: tuple[float, float] | None,
    statement: SampledStatement,
) -> LoadCause:
    share = min(part.seconds / total, 1.0) * doubt.part
    files = sum(s for name, s in part.waits.items() if "buffile" in name.lower()) / total
    direct = files if doubt.kind is Kind.TEMP_FILES else 0.0
    return LoadCause(
        kind=doubt.kind,
        share=share,
        direct=direct,
        interval=interval,
        queries=_queries(
            Counter({statement.key: share * total}), total, {statement.key: statement}
        ),
        text=cause_text(doubt.kind, TimePart(), share, direct, doubt.concerns),
        grade=_GRADES.get(doubt.kind, Grade.B),
        concerns=doubt.concerns,
        evidence={"samples": part.samples, **doubt.evidence},
    )


def _queries(
    seconds: Mapping[str, float], total: float, statements: Mapping[str, SampledStatement]
) -> tuple[CauseQuery, ...]:
    most = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:_MOST_QUERIES]
    return tuple(
        CauseQuery(
            key=key,
            query_id=next(iter(s.query_ids), None) if (s := statements.get(key)) else None,
            text=s.text if s else "",
            share=min(spent / total, 1.0),
        )
        for key, spent in most
        if key
    )


def _statements(
    samples: Sequence[ActiveSamples], delta: Snapshot | None
) -> dict[str, SampledStatement]:
    found = {key: s for each in samples for key, s in each.statements.items()}
    return found if delta is None else {key: with_text(s, delta) for key, s in found.items()}


def _interval(shares: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95% interval of a mean of blocks."""
    count = len(shares)
    if count < _MIN_BLOCKS:
        return None
    mean = sum(shares) / count
    deviation = math.sqrt(sum((s - mean) ** 2 for s in shares) / (count - 1))
    half = t_quantile(0.975, count - 1) * deviation / math.sqrt(count)
    return max(mean - half, 0.0), min(mean + half, 1.0)


def _ordered(causes: Sequence[LoadCause]) -> list[LoadCause]:
    """Order by share; a symptom after what it is a symptom of, a statement's work after what is wrong with it."""
    suspected = {q.key for c in causes if c.kind in _NEEDLESS for q in c.queries}

    def is_general(cause: LoadCause) -> bool:
        is_covered = cause.kind is Kind.QUERY_CPU and cause.queries
        return bool(is_covered) and cause.queries[0].key in suspected

    def rank(cause: LoadCause) -> tuple[bool, float, bool, str]:
        share = cause.share
        if cause.symptom_of is not None:
            share = min(
                share, max((c.share for c in causes if c.kind is cause.symptom_of), default=share)
            )
        if cause.kind is Kind.CONNECTIONS and share >= 0.5:
            share = 1.0 + share  # of a larger whole
        last = cause.kind is Kind.NOT_EXPLAINED
        return last, -round(share, 6), cause.symptom_of is not None or is_general(cause), cause.kind

    return _after_specific(sorted(causes, key=rank), is_general)


def _after_specific(causes: list[LoadCause], is_general: object) -> list[LoadCause]:
    assert callable(is_general)
    found: list[LoadCause] = []
    waiting: list[LoadCause] = []
    for cause in causes:
        if is_general(cause):
            waiting.append(cause)
            continue
        found.append(cause)
        if cause.kind in _NEEDLESS:
            keys = {q.key for q in cause.queries}
            found += [w for w in waiting if w.queries[0].key in keys]
            waiting = [w for w in waiting if w.queries[0].key not in keys]
    return [*found, *waiting]


def _connecting(
    blocks: Sequence[Block], samples: Sequence[ActiveSamples], delta: Snapshot | None
) -> tuple[LoadCause, ...]:
    """Return what connecting took; it is no DB time, so its share is of both together."""
    stormy = [b for b in blocks if b.order.reconnects and b.seconds > 0]
    if not stormy:
        return ()
    waiting = [seconds for b in stormy if (seconds := _outside_s(b)) is not None]
    spent = sum(waiting) if waiting else sum(s.connecting_s for s in samples)
    whole = spent + sum(s.db_seconds for s in samples)
    share = spent / whole if whole else 0.0
    text = f"At most {units.share(share)} of the time of sessions, from connecting to the end, is connecting, once for each transaction. A pooler, or connections that are kept, would help."
    return (
        LoadCause(
            kind=Kind.CONNECTIONS,
            share=share,
            direct=share,
            interval=None,
            queries=(),
            text=text,
            grade=Grade.C,
            evidence=dict(server_evidence(delta).get(Kind.CONNECTIONS, {})),
        ),
    )


def _outside_s(block: Block) -> float | None:
    """Return for how long its clients were in no transaction; only a closed loop tells."""
    mean = block.spent.service.mean()
    if block.order.is_open or mean is None:
        return None
    whole = block.order.clients * block.seconds
    return max(whole - block.spent.service.count * mean / 1000, 0.0)


def _doubts(samples: Sequence[ActiveSamples], delta: Snapshot | None) -> tuple[str, ...]:
    found = []
    gap = max((s.largest_gap_s for s in samples), default=0.0)
    if gap > 1.0:
        found.append(
            f"For up to {gap:.2g} s nobody looked at the sessions; the worst moments may be missing."
        )
    found += _miscounted(samples)
    found += profile_notes(samples)
    if any(s.hidden for s in samples):
        found.append("This role may not see what some sessions do: grant it pg_read_all_stats.")
    if any(s.untracked for s in samples):
        found.append("track_activities is off for some sessions: what they do is not known.")
    if delta is None:
        found.append(
            "Without snapshots before and after, indexes, temporary files, JIT and planning are not evaluated."
        )
    elif "statements" in delta.missing:
        found.append(
            f"What statements did is not counted ({delta.missing['statements'].reason}): indexes, temporary files, JIT and planning are not evaluated."
        )
    return tuple(found)


def _miscounted(samples: Sequence[ActiveSamples]) -> list[str]:
    """Say if the server counted more time than was sampled: without a free core, looks come when others pause."""
    pairs = [
        (s.counted_active, s.whole_active)
        for s in samples
        if s.counted_active is not None and s.whole_active is not None
    ]
    if not pairs:
        return []
    counted, seen = (sum(each) / len(pairs) for each in zip(*pairs, strict=True))
    # it counts a statement when that ends, so less may be counted than was seen
    if counted - seen <= max(_MISCOUNT * counted, 0.2):
        return []
    return [
        (
            f"The server counted {counted:.2g} active sessions on average, and {seen:.2g} were sampled: short statements that "
            "compute are missed on a busy machine, so the shares of waits may be too large."
        )
    ]
