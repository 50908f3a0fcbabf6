"""What to end now: each session once, and no waiting one if what it waits for is ended."""

from collections.abc import Hashable, Iterator, Sequence

from pgwatch_wed.findings import ActionStage
from pgwatch_wed.postgres.waits import Waits
from pgwatch_wed.remedies.actions.drafts import Decisions, Draft, connected
from pgwatch_wed.remedies.actions.judgment import signaled
from pgwatch_wed.remedies.actions.phrases import title
from pgwatch_wed.remedies.actions.proposals import Proposal, ProposedStep, functions

_TERMINATE = "pg_terminate_backend"


def session_drafts(proposals: Sequence[Proposal], decisions: Decisions) -> None:
    """Add an action for each session; cancel before terminate, and only one of both."""
    ending = [p for p in proposals if any(map(_ends, p.steps))]
    freed = {pid: p for p in reversed(ending) for pid in _behind(p)}
    homes: dict[str, list[Proposal]] = {}
    own: list[Proposal] = []
    for proposal in proposals:
        pids = set(_pids(proposal))
        # what waits goes on by itself
        cause = next((freed[pid] for pid in pids if pid in freed), None)
        if cause is not None and pids <= freed.keys() and proposal not in ending:
            homes.setdefault(cause.finding.id, []).append(proposal)
        else:
            own.append(proposal)
    for group in connected(own, _keys):
        served = [p for one in group for p in homes.get(one.finding.id, ())]
        decisions.drafts.append(_draft(group, served))


def _draft(group: Sequence[Proposal], served: Sequence[Proposal]) -> Draft:
    steps = {step.remedy.sql: step for p in group for step in p.steps}
    ended = {pid for step in steps.values() for pid in _pids_of(step) if _ends(step)}
    kept = [s for s in steps.values() if _ends(s) or not ended.issuperset(_pids_of(s)) or not ended]
    parts = [part for step in kept for part in step.parts]
    return Draft(
        title=title(parts, group[0].finding.title),
        stage=ActionStage.SESSIONS,
        proposals=(*group, *served),
        steps=tuple(step.remedy for step in kept),
        object=group[0].finding.object,
        is_servers=True,
        order=int(bool(ended)),
    )


def _keys(proposal: Proposal) -> Iterator[Hashable]:
    yield proposal.finding.id
    yield from _pids(proposal)


def _pids(proposal: Proposal) -> Iterator[int]:
    return (pid for step in proposal.steps for pid in _pids_of(step))


def _pids_of(step: ProposedStep) -> Iterator[int]:
    return (pid for part in step.parts for pid in signaled(part))


def _ends(step: ProposedStep) -> bool:
    """Tell whether a step ends a session rather than its statement."""
    return any(_TERMINATE in functions(part) for part in step.parts)


def _behind(proposal: Proposal) -> Iterator[int]:
    """Yield the sessions that wait for one that is terminated, directly or behind others."""
    waits = Waits(proposal.snapshot)
    for pid in _pids(proposal):
        yield from waits.depths(pid)
