"""Where DB time went, for the report: as sessions waited, and charged to what their holders did."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pgwatch_wed import units
from pgwatch_wed.load.load_model import Block
from pgwatch_wed.load.sampling.active_samples import ActiveSamples, QueueHead, TimeFlow, together
from pgwatch_wed.load.sampling.cause_ranking import samples_of
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind
from pgwatch_wed.load.sampling.wait_kinds import charged_kind
from pgwatch_wed.load.stress_report import DbTime, DbTimeShare

_MOST = 20


def sampled_db_time(blocks: Sequence[Block]) -> DbTime:
    """Add up what the sampler saw in the blocks."""
    samples = samples_of(blocks)
    looks = sum(s.looks for s in samples)
    if not looks:
        failure = next((s.failure for s in samples if s.failure), "")
        return DbTime(missing=failure or "the sessions were not sampled")
    flows = together(samples)
    total = sum(spent.seconds for spent in flows.values())
    statements = {key: s for each in samples for key, s in each.statements.items()}
    own: dict[tuple[str, str], float] = defaultdict(float)
    charged: dict[tuple[str, str], float] = defaultdict(float)
    through: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for flow, spent in flows.items():
        own[flow.query, flow.wait.label] += spent.seconds
        end = (flow.held_query, _end(flow))
        charged[end] += spent.seconds
        if flow.holder is not QueueHead.ITSELF:
            through[end][flow.wait.label] += spent.seconds / total

    def shares(
        of: Mapping[tuple[str, str], float], ways: Mapping[tuple[str, str], Mapping[str, float]]
    ) -> tuple[DbTimeShare, ...]:
        most = sorted(of.items(), key=lambda item: (-item[1], item[0]))[:_MOST]
        return tuple(
            DbTimeShare(
                query_id=next(iter(s.query_ids), None) if (s := statements.get(key[0])) else None,
                query=s.text if s else "",
                wait=key[1],
                share=min(seconds / total, 1.0),
                seconds=round(seconds, 3),
                through={n: round(v, 4) for n, v in ways.get(key, {}).items()},
            )
            for key, seconds in most
        )

    length = sum(s.seconds for s in samples)
    return DbTime(
        seconds=round(total, 3),
        samples=looks,
        active_sessions=sum(s.mean_active * s.seconds for s in samples) / length if length else 0.0,
        largest_gap_s=max(s.largest_gap_s for s in samples),
        source=_source(samples),
        symptoms=shares(own, {}),
        charged=shares(charged, through),
    )


def _source(samples: Sequence[ActiveSamples]) -> str:
    """Name where the time of waits is from; who holds locks, and what computes, only our own samples tell."""
    used = [s.profile for s in samples if s.profile is not None and not s.profile.missing]
    if not used:
        return "pg_stat_activity"
    profile = f"pg_wait_sampling_profile in {units.count(len(used), 'block')} of {len(samples)}"
    return f"{profile}, pg_stat_activity"


def _end(flow: TimeFlow) -> str:
    """Name what a flow is charged to, as the causes do: of a session outside, what it does is not what the load waits for."""
    if flow.holder in (QueueHead.ITSELF, QueueHead.LOAD):
        return flow.held_wait.label
    is_idle = charged_kind(flow) is LoadCauseKind.IDLE_TRANSACTION
    wait = flow.wait if flow.holder is QueueHead.OUTSIDE and not is_idle else flow.held_wait
    who = flow.who or flow.holder.value
    return f"{who}: {wait.label}" if wait.type else who
