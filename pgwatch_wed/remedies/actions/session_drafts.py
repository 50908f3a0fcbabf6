"""What to end now: each session once, and no waiting one if what it waits for is ended."""

from collections.abc import Hashable, Iterator, Sequence

from pgwatch_wed.findings import ActionStage
from pgwatch_wed.postgres.waits import Waits
from pgwatch_wed.remedies.actions.drafts import Decisions, Draft, connected
from pgwatch_wed.remedies.actions.judgment import signaled
from pgwatch_wed.remedies.actions.phrases import title
from pgwatch_wed.remedies.actions.proposals import Proposal, functions

_TERMINATE = "pg_terminate_backend"


def session_drafts(proposals: Sequence[Proposal], decisions: Decisions) -> None:
    """Add an action for each session; cancel before terminate, and only one of both."""
    ending = [p for p in proposals if _terminates(p)]
    freed = {pid: p for p in reversed(ending) for pid in _behind(p)}
    grouped = {p.finding.id: p for p in ending}
    homes: dict[str, list[Proposal]] = {}
    own: list[Proposal] = []
    for proposal in proposals:
        pids = set(_pids(proposal))
        # what waits goes on by itself
        cause = next((freed[pid] for pid in pids if pid in freed), None)
        if cause is not None and pids <= freed.keys() and proposal.finding.id not in grouped:
            homes.setdefault(cause.finding.id, []).append(proposal)
        else:
            own.append(proposal)
    for group in connected(own, _keys):
        served = [p for one in group for p in homes.get(one.finding.id, ())]
        decisions.drafts.append(_draft(group, served))


def _draft(group: Sequence[Proposal], served: Sequence[Proposal]) -> Draft:
    ended = {pid for p in group for s in p.steps for pid in _pids_of(s, only=_TERMINATE)}
    steps = {
        step.remedy.sql: step
        for p in group
        for step in p.steps
        if _TERMINATE in _functions(step) or not ended.issuperset(_pids_of(step)) or not ended
    }
    parts = [part for step in steps.values() for part in step.parts]
    return Draft(
        title=title(parts, group[0].finding.title),
        stage=ActionStage.SESSIONS,
        proposals=(*group, *served),
        steps=tuple(step.remedy for step in steps.values()),
        object=group[0].finding.object,
        is_servers=True,
        order=int(bool(ended)),
    )


def _keys(proposal: Proposal) -> Iterator[Hashable]:
    yield proposal.finding.id
    yield from _pids(proposal)


def _pids(proposal: Proposal) -> Iterator[int]:
    return (pid for step in proposal.steps for pid in _pids_of(step))


def _pids_of(step: object, only: str = "") -> Iterator[int]:
    for part in getattr(step, "parts", ()):
        if not only or only in functions(part):
            yield from signaled(part)


def _functions(step: object) -> frozenset[str]:
    return frozenset(f for part in getattr(step, "parts", ()) for f in functions(part))


def _terminates(proposal: Proposal) -> bool:
    return any(_TERMINATE in functions(part) for part in proposal.parts)


def _behind(proposal: Proposal) -> Iterator[int]:
    """Yield the sessions that wait for one that is terminated, directly or behind others."""
    waits = Waits(proposal.snapshot)
    for pid in _pids(proposal):
        yield from waits.depths(pid)
