"""Indexes: each created once, under a free name; each dropped once, if all that are dropped can be spared together."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pgwatch_wed.findings import ActionStage, Object, Remedy
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies.actions.drafts import Decisions, Draft, connected
from pgwatch_wed.remedies.actions.index_changes import IndexChange
from pgwatch_wed.remedies.actions.index_drops import IndexDrops
from pgwatch_wed.remedies.actions.judgment import by_hand
from pgwatch_wed.remedies.actions.phrases import listed, title
from pgwatch_wed.remedies.actions.proposals import Proposal, SqlPart, is_analyze
from pgwatch_wed.remedies.actions.renames import NamesGiven

_CREATE, _REBUILD, _REPLACE, _DROP = range(4)


def index_drafts(
    proposals: Sequence[Proposal], everything: Sequence[Proposal], decisions: Decisions
) -> None:
    """Add the actions for the indexes of one database; ``everything`` is what all stages are to run there."""
    if not proposals:
        return
    changes = [IndexChange.of(p) for p in proposals]
    creating = _served([c for c in changes if c.created is not None and not c.dropped])
    created = [group[0].created for group in creating if group[0].created is not None]
    names = NamesGiven(proposals[0].snapshot)
    names.reserve(proposals)
    stage = _IndexStage(
        IndexDrops.beside(proposals[0].snapshot, everything, created), names, decisions
    )
    decisions.drafts += [_creating(group, names) for group in creating]
    stage.drop([c for c in changes if c.created is None and c.dropped])
    stage.replace([c for c in changes if c.created is not None and c.dropped])
    stage.rebuild([c for c in changes if c.created is None and not c.dropped])


@dataclass(slots=True)
class _IndexStage:
    """What becomes of existing indexes: dropped, else replaced, else rebuilt; the latter are needless after the former."""

    drops: IndexDrops
    names: NamesGiven
    decisions: Decisions
    dropped: list[IndexChange] = field(default_factory=list)
    replaced: dict[int, IndexChange] = field(default_factory=dict)

    def drop(self, changes: Iterable[IndexChange]) -> None:
        """Drop what can be spared."""
        self.dropped += [c for c in changes if self._is_free(c)]

    def replace(self, changes: Iterable[IndexChange]) -> None:
        """Replace what is not dropped, once."""
        for change in changes:
            oids = {i.oid for i in change.dropped}
            first = next((self.replaced[oid] for oid in oids if oid in self.replaced), None)
            if first is not None:
                rule = first.proposal.finding.rule
                reason = (
                    f"{rule} replaces the index by another one; run the analysis again afterwards."
                )
                self.decisions.refuse(change.proposal, reason)
            elif oids <= self.drops.gone:
                self.dropped.append(change)
            elif self._is_free(change):
                self.replaced |= dict.fromkeys(_all_oids(change), change)

    def rebuild(self, changes: Sequence[IndexChange]) -> None:
        """Rebuild what stays, and add all actions."""
        served: dict[str, list[IndexChange]] = {}
        rest: list[IndexChange] = []
        for change in changes:
            oids = {i.oid for i in change.rebuilt}
            if not change.only_rebuilds or not oids <= self.drops.gone:
                rest.append(change)
            elif (new := self.replaced.get(min(oids))) is not None:
                served.setdefault(new.proposal.finding.id, []).append(change)
            else:
                self.dropped.append(change)
        for change in {c.proposal.finding.id: c for c in self.replaced.values()}.values():
            also = served.get(change.proposal.finding.id, ())
            self.decisions.drafts.append(_replacing(change, also, self.names))
        for group in connected(self.dropped, _gone):
            self.decisions.drafts.append(_dropping(group))
        for group in connected(rest, _texts):
            self.decisions.drafts.append(_otherwise(group, self.names))

    def _is_free(self, change: IndexChange) -> bool:
        reason = self.drops.decide(change)
        if reason:
            self.decisions.refuse(change.proposal, reason)
        return not reason


def _gone(change: IndexChange) -> Iterator[Hashable]:
    yield change.proposal.finding.id
    yield from _all_oids(change)
    yield from (i.oid for i in change.rebuilt)


def _all_oids(change: IndexChange) -> Iterator[int]:
    """Yield the oids of what is dropped, with those of partitions."""
    for index in change.dropped:
        yield from (part.oid for part in ix.with_parts(change.proposal.snapshot, index))


def _texts(change: IndexChange) -> Iterator[Hashable]:
    yield change.proposal.finding.id
    yield from (part.text for part in change.proposal.main)


def _served(creating: Sequence[IndexChange]) -> list[list[IndexChange]]:
    """Return groups of changes, each beginning with the one whose index serves the others."""
    by_table: dict[tuple[str, str], list[IndexChange]] = {}
    for change in creating:
        if change.created is not None:
            by_table.setdefault((change.created.schema, change.created.table), []).append(change)
    found: list[list[IndexChange]] = []
    for here in by_table.values():
        leaders = [c for c in here if not any(_yields(c, other) for other in here)]
        groups = {leader.proposal.finding.id: [leader] for leader in leaders}
        for change in (c for c in here if c not in leaders):
            leader = next((one for one in leaders if _serves(one, change)), change)
            groups.setdefault(leader.proposal.finding.id, []).append(change)
        found += groups.values()
    return found


def _serves(one: IndexChange, other: IndexChange) -> bool:
    if one.created is None or other.created is None:
        return False
    return one.created.serves(other.created, other.foreign_key)


def _yields(change: IndexChange, other: IndexChange) -> bool:
    """Tell whether the other one makes a change needless; of two that are alike, the later one."""
    if change is other or not _serves(other, change):
        return False
    return not _serves(change, other) or other.proposal.rank < change.proposal.rank


def _creating(group: Sequence[IndexChange], names: NamesGiven) -> Draft:
    leader = group[0]
    proposal = names.settled(leader.proposal)
    change = IndexChange.of(proposal)
    made = change.created or leader.created
    assert made is not None
    steps = [step.remedy for step in proposal.steps]
    if not change.ends_with_analyze:
        after = (c.proposal.steps[-1].remedy for c in group[1:] if c.ends_with_analyze)
        steps += list(after)[:1]
    return Draft(
        title=f"Create index {made.qualified} on {made.schema}.{made.table} {made.text.shown}",
        stage=ActionStage.INDEXES,
        proposals=tuple(c.proposal for c in group),
        steps=tuple(steps),
        object=Object("index", made.name, proposal.database, made.schema, made.table),
        by_hand=by_hand(proposal),
        order=_CREATE,
        is_leaders=True,
    )


def _replacing(change: IndexChange, spared: Sequence[IndexChange], names: NamesGiven) -> Draft:
    proposal = names.settled(change.proposal)
    made = IndexChange.of(proposal).created or change.created
    assert made is not None
    old = listed(i.qualified for i in change.dropped)
    return Draft(
        title=f"Replace index {old} with {made.name} {made.text.shown}",
        stage=ActionStage.INDEXES,
        proposals=(change.proposal, *(c.proposal for c in spared)),
        steps=tuple(step.remedy for step in proposal.steps),
        object=ix.object_of(proposal.snapshot, change.dropped[0]),
        by_hand=by_hand(proposal),
        order=_REPLACE,
    )


def _dropping(group: Sequence[IndexChange]) -> Draft:
    own = sorted(
        (c for c in group if c.created is None and c.dropped), key=lambda c: c.proposal.rank
    )
    steps: dict[str, Remedy] = {}
    parts: list[SqlPart] = []
    for change in own:
        for step in change.proposal.steps:
            if step.remedy.sql not in steps and not all(map(is_analyze, step.parts)):
                steps[step.remedy.sql] = step.remedy
                parts += step.parts
    first = own[0]
    return Draft(
        title=title(parts, first.proposal.finding.title),
        stage=ActionStage.INDEXES,
        proposals=tuple(c.proposal for c in group),
        steps=tuple(steps.values()),
        object=ix.object_of(first.proposal.snapshot, first.dropped[0]),
        by_hand=next(filter(None, (by_hand(c.proposal) for c in own)), ""),
        order=_DROP,
    )


def _otherwise(group: Sequence[IndexChange], names: NamesGiven) -> Draft:
    settled = [names.settled(c.proposal) for c in group]
    steps = {step.remedy.sql: step.remedy for p in settled for step in p.steps}
    return Draft(
        title=title((part for p in settled for part in p.parts), group[0].proposal.finding.title),
        stage=ActionStage.INDEXES,
        proposals=tuple(c.proposal for c in group),
        steps=tuple(steps.values()),
        object=group[0].proposal.finding.object,
        order=_REBUILD,
    )
