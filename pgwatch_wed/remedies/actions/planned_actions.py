"""Findings and snapshots → the plan: actions in order, and why other findings have none."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import (
    Action,
    ActionPlan,
    ActionStage,
    Finding,
    NotPlanned,
)
from pgwatch_wed.remedies.actions import action_gains
from pgwatch_wed.remedies.actions.drafts import Decisions, Draft, connected
from pgwatch_wed.remedies.actions.index_drafts import index_drafts
from pgwatch_wed.remedies.actions.index_names import dropped
from pgwatch_wed.remedies.actions.judgment import by_hand
from pgwatch_wed.remedies.actions.maintenance_drafts import maintenance_drafts
from pgwatch_wed.remedies.actions.phrases import listed, title
from pgwatch_wed.remedies.actions.proposals import Proposal, is_analyze, read
from pgwatch_wed.remedies.actions.renames import NamesGiven
from pgwatch_wed.remedies.actions.schema_drafts import schema_drafts
from pgwatch_wed.remedies.actions.session_drafts import session_drafts
from pgwatch_wed.remedies.actions.setting_drafts import SettingDrafts
from pgwatch_wed.remedies.actions.staging import stage_of
from pgwatch_wed.remedies.actions.step_sizes import read_bytes

_STAGES = tuple(ActionStage)
_MAX_RISKS = 3
_IN_TWO_STAGES = (ActionStage.SETTINGS, ActionStage.RESTART)


def action_plan(findings: Sequence[Finding], snapshots: Sequence[Snapshot]) -> ActionPlan:
    """Return what to do about ranked findings, the most important first; one snapshot for each database.

    Actions come by stage, and within a stage in the order of the findings, which is by gain; indexes are created before
    others are dropped.
    """
    if not snapshots:
        return ActionPlan()
    proposals = list(_proposals(findings, snapshots))
    decisions = _decided(proposals)
    drafts = _once(sorted(decisions.drafts, key=_order))
    closed = {p.finding.id for draft in drafts for p in draft.proposals}
    load_ms = action_gains.loads(snapshots)
    actions = [_action(draft, load_ms) for draft in drafts]
    actions, restarted = _restarting(actions, findings, snapshots[0])
    covered = closed | restarted
    rest = [f for f in findings if f.id not in covered]
    done = [f for f in findings if f.id in covered]
    # one that a wider index serves is served, too
    served = [
        (f.object.database or "", f.object.schema or "", f.object.name)
        for f in done
        if f.rule == "index-missing"
    ]
    return ActionPlan(
        actions=tuple(actions),
        not_planned=tuple(_not_planned(rest, decisions, actions, done)),
        gain=action_gains.gain_of(done, load_ms),
        cost_share=action_gains.cost_share(snapshots, served),
    )


def _proposals(findings: Sequence[Finding], snapshots: Sequence[Snapshot]) -> Iterator[Proposal]:
    of_database = {s.server.database: s for s in snapshots}
    for rank, finding in enumerate(findings):
        if finding.remedy:
            snapshot = of_database.get(finding.object.database or "", snapshots[0])
            yield Proposal.of(rank, finding, snapshot)


def _decided(proposals: Sequence[Proposal]) -> Decisions:
    """Let each stage decide about its proposals."""
    decisions = Decisions()
    manual: list[Proposal] = []
    scripted: list[Proposal] = []
    for proposal in proposals:
        is_manual = bool(by_hand(proposal)) and not _drops_index(proposal)
        (manual if is_manual else scripted).append(proposal)
    staged: dict[ActionStage, list[Proposal]] = {stage: [] for stage in _STAGES}
    for proposal in scripted:
        staged[stage_of(proposal)].append(proposal)
    session_drafts(staged[ActionStage.SESSIONS], decisions)
    settings = SettingDrafts(decisions)
    settings.choose([p for stage in _IN_TWO_STAGES for p in staged[stage]])
    for stage in _IN_TWO_STAGES:
        settings.add(staged[stage], stage)
    for here in _by_database(scripted):
        where = here[0].database
        mine = {s: [p for p in staged[s] if p.database == where] for s in _STAGES}
        names = NamesGiven(here[0].snapshot)
        names.reserve(here)
        maintenance_drafts([names.settled(p) for p in mine[ActionStage.MAINTENANCE]], decisions)
        index_drafts(mine[ActionStage.INDEXES], here, decisions)
        schema_drafts(mine[ActionStage.SCHEMA], decisions)
    decisions.drafts += _manual(manual)
    return decisions


def _drops_index(proposal: Proposal) -> bool:
    """Tell whether it drops an index: what is decided about others depends on it, even by hand."""
    return any(i for part in proposal.parts for i in dropped(proposal.snapshot, part))


def _by_database(proposals: Iterable[Proposal]) -> list[list[Proposal]]:
    found: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        found.setdefault(proposal.database, []).append(proposal)
    return list(found.values())


def _manual(proposals: Sequence[Proposal]) -> Iterator[Draft]:
    """Yield actions for a person: those with the same statements are one."""
    for group in connected(
        proposals, lambda p: [(p.database, tuple(s.remedy.sql for s in p.steps))]
    ):
        first = group[0]
        yield Draft(
            title=_to_check(first) or title(first.main, f"Check: {first.finding.title}"),
            stage=stage_of(first) if first.main else ActionStage.SCHEMA,
            proposals=tuple(group),
            steps=tuple(step.remedy for step in first.steps),
            object=first.finding.object,
            is_servers=first.finding.object.database is None,
            by_hand=by_hand(first),
        )


def _to_check(proposal: Proposal) -> str:
    """Return the title of an action whose statements are only the beginning; otherwise nothing."""
    is_choice = any(step.tail for step in proposal.steps)
    return f"Check: {proposal.finding.title}" if is_choice else ""


def _order(draft: Draft) -> tuple[int, bool, int, int]:
    return _STAGES.index(draft.stage), bool(draft.by_hand), draft.order, draft.rank


def _once(drafts: Sequence[Draft]) -> list[Draft]:
    """Leave out what an earlier action has done already; ANALYZE may be of use again after a change."""
    done: dict[tuple[str, str], int] = {}
    kept: list[Draft] = []
    for draft in drafts:
        if draft.by_hand:
            kept.append(draft)
            continue
        where = draft.proposals[0].database
        left = tuple(s for s in draft.steps if (where, s.sql) not in done or _repeats(s.sql))
        if not left:
            home = next(done[where, s.sql] for s in draft.steps)
            kept[home] = replace(kept[home], proposals=(*kept[home].proposals, *draft.proposals))
            continue
        for step in left:
            done.setdefault((where, step.sql), len(kept))
        is_same = len(left) == len(draft.steps)
        kept.append(draft if is_same else replace(draft, steps=left, undo=None))
    return kept


def _repeats(sql: str) -> bool:
    return all(map(is_analyze, read(sql)[0]))


def _action(draft: Draft, load_ms: float) -> Action:
    findings = [p.finding for p in sorted(draft.proposals, key=lambda p: p.rank)]
    about = draft.object or findings[0].object
    first = draft.proposals[0]
    database = about.name if about.kind == "database" else about.database or first.database
    warning = [first.finding] if draft.is_leaders else findings
    risks = dict.fromkeys(text for finding in warning for text in finding.caveats)
    return Action(
        title=draft.title,
        stage=draft.stage,
        object=about,
        closes=tuple(dict.fromkeys(f.id for f in findings)),
        statements=draft.steps,
        undo=draft.ways_back,
        gain=action_gains.gain_of(findings, load_ms),
        risk=" ".join([*risks][:_MAX_RISKS]),
        needs_restart=draft.stage is ActionStage.RESTART,
        database=None if draft.is_servers else database,
        by_hand=draft.by_hand,
        reads_bytes=read_bytes(first.snapshot, draft.steps),
    )


def _restarting(
    actions: list[Action], findings: Sequence[Finding], snapshot: Snapshot
) -> tuple[list[Action], set[str]]:
    """Let the restart close the findings that only wait for one."""
    pending = {s.name for s in snapshot.settings if s.pending_restart}
    waiting = [
        f.id
        for f in findings
        if not f.remedy and f.object.kind == "setting" and f.object.name in pending
    ]
    place = next((n for n, a in enumerate(actions) if a.needs_restart and not a.by_hand), None)
    if place is None or not waiting:
        return actions, set()
    changed = replace(actions[place], closes=(*actions[place].closes, *waiting))
    return [*actions[:place], changed, *actions[place + 1 :]], set(waiting)


def _not_planned(
    rest: Sequence[Finding],
    decisions: Decisions,
    actions: Sequence[Action],
    done: Sequence[Finding],
) -> Iterator[NotPlanned]:
    titles = {i: action.title for action in actions for i in action.closes}
    for finding in rest:
        reason = decisions.refused.get(finding.id)
        if reason is None:
            has_cost = finding.impact.cost is not None  # few have: it is compared with all
            cures = [titles[f.id] for f in done if has_cost and _saves_a_part(f, finding)]
            reason = (
                f"It shows where time is spent; these actions save a part of it: {listed(cures)}."
                if cures
                else "There is no statement that mends it: its text says what to look at."
            )
        yield NotPlanned(finding.id, reason)


def _saves_a_part(cure: Finding, finding: Finding) -> bool:
    cost = finding.impact.cost
    if cost is None or cure.object.database != finding.object.database:
        return False
    gain = cure.impact.gain
    queries = {*(gain.by_query if gain else ()), *cure.evidence.get("query_ids", ())}
    return not queries.isdisjoint(cost.by_query)
