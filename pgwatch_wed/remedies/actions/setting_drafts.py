"""Settings: those of the server with one reload, or one restart; those of roles and databases."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pglast import ast

from pgwatch_wed import units
from pgwatch_wed.findings import ActionStage, Object, Remedy
from pgwatch_wed.remedies import authority
from pgwatch_wed.remedies.actions.drafts import Decisions, Draft, connected
from pgwatch_wed.remedies.actions.phrases import listed, title
from pgwatch_wed.remedies.actions.proposals import (
    Proposal,
    ProposedStep,
    SqlPart,
    functions,
    remedy_of,
    setting_name,
)
from pgwatch_wed.remedies.actions.staging import RELOAD

_RELOADED = f"SELECT {RELOAD}();"
_MOST_NAMED = 4

SettingScope = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    """A setting that a statement changes, for whom, and to what."""

    proposal: Proposal
    step: ProposedStep
    part: SqlPart
    scope: SettingScope
    value: str

    @property
    def name(self) -> str:
        return str(self.scope[-1])


@dataclass(slots=True)
class SettingDrafts:
    """Settings are changed once each: of two values, the larger one serves both findings."""

    decisions: Decisions
    chosen: dict[SettingScope, _Change] = field(default_factory=dict)
    made: set[SettingScope] = field(default_factory=set)

    def choose(self, proposals: Iterable[Proposal]) -> None:
        """Choose the value of each setting, for all stages."""
        for change in (c for p in proposals for c in _changes(p)):
            known = self.chosen.get(change.scope)
            if known is None or _is_larger(change.value, known.value):
                self.chosen[change.scope] = change

    def add(self, proposals: Sequence[Proposal], stage: ActionStage) -> None:
        """Add one action for the settings of the server, and one for each role, database and extension."""
        agreed = [p for p in proposals if self._agrees(p)]
        of_server = [p for p in agreed if any(map(_is_servers, p.parts))]
        # an extension is created in one database, and its setting is that of all: those come first
        of_server.sort(key=_has_more)
        for group in connected(of_server, lambda p: [p.database if _has_more(p) else ""]):
            self.decisions.drafts.append(self._of_server(group, stage))
        rest = [p for p in agreed if p not in of_server]
        for group in connected(rest, _keys):
            self.decisions.drafts.append(self._of_others(group, stage))

    def _agrees(self, proposal: Proposal) -> bool:
        """Tell whether the values chosen serve a finding; if not, say why it gets no action."""
        for change in _changes(proposal):
            chosen = self.chosen[change.scope]
            if change.value == chosen.value or _is_larger(chosen.value, change.value):
                continue
            other = chosen.proposal.finding
            reason = f"{other.rule} ({other.object.label}) sets {change.name} to {chosen.value}; run the analysis again afterwards."
            self.decisions.refuse(proposal, reason)
            return False
        return True

    def _of_server(self, proposals: Sequence[Proposal], stage: ActionStage) -> Draft:
        needs_restart = stage is ActionStage.RESTART
        steps: list[Remedy] = []
        back: list[str] = []
        names: list[str] = []
        for change in (c for p in proposals for c in _changes(p) if _is_servers(c.part)):
            best = self.chosen[change.scope]
            if change.scope not in self.made:
                self.made.add(change.scope)
                names.append(best.name)
                steps.append(_without_reload(best))
                back[:0] = _undone(best)
        if names and not needs_restart:
            remedy = Remedy(_RELOADED, "none; takes effect on reload", undo=_RELOADED)
            steps.append(authority.signed(proposals[0].snapshot, remedy))
            back.append(_RELOADED)
        more = {s.remedy.sql: s for p in proposals for s in p.steps if _is_other(s)}
        steps += [step.remedy for step in more.values()]
        back[:0] = [step.remedy.undo for step in more.values() if step.remedy.undo]
        parts = [part for step in more.values() for part in step.parts]
        then = "restart the server" if needs_restart else "reload"
        told = f"Set {listed(names, _MOST_NAMED)}, and {then}"
        about = Object("setting", names[0]) if len(names) == 1 else Object("server", "settings")
        return Draft(
            title=told if names else title(parts, proposals[0].finding.title),
            stage=stage,
            proposals=tuple(proposals),
            steps=tuple(steps),
            undo=tuple(back),
            object=proposals[0].finding.object if more else about,
            is_servers=not more,
            order=int(bool(more)),
        )

    def _of_others(self, group: Sequence[Proposal], stage: ActionStage) -> Draft:
        steps: dict[Hashable, tuple[Remedy, tuple[SqlPart, ...]]] = {}
        for key, remedy, of_step in (
            e for p in group for s in p.steps for e in self._settled(p, s)
        ):
            steps.setdefault(key, (remedy, of_step))
        parts = [part for _, of_step in steps.values() for part in of_step]
        return Draft(
            title=_of_roles(parts) or title(parts, group[0].finding.title),
            stage=stage,
            proposals=tuple(group),
            steps=tuple(remedy for remedy, _ in steps.values()),
            object=_whose(group[0]),
            is_servers=all(isinstance(p.node, _OF_SERVER) for p in parts),
        )

    def _settled(
        self, proposal: Proposal, step: ProposedStep
    ) -> Iterator[tuple[Hashable, Remedy, tuple[SqlPart, ...]]]:
        """Yield a step by what it changes: each setting with the value chosen, and the rest as it is."""
        changes = [c for c in _changes(proposal) if c.step is step]
        for scope in dict.fromkeys(c.scope for c in changes):
            best = self.chosen[scope]
            yield scope, _alone(best), (best.part,)
        rest = tuple(p for p in step.parts if _scope(p.node) is None)
        remedy = remedy_of(proposal, step, rest)
        if remedy is not None:
            yield remedy.sql, remedy, rest


_OF_SERVER = (
    *(ast.AlterRoleSetStmt, ast.AlterRoleStmt, ast.AlterDatabaseSetStmt, ast.AlterDatabaseStmt),
    ast.GrantRoleStmt,
)


def _whose(proposal: Proposal) -> Object:
    """Return the first role that has to change, rather than a statement or setting."""
    roles = list(_roles(proposal.parts))
    return Object("role", roles[0]) if roles else proposal.finding.object


def _roles(parts: Iterable[SqlPart]) -> Iterator[str]:
    for part in parts:
        match part.node:
            case ast.AlterRoleSetStmt(role=ast.RoleSpec(rolename=str(name))):
                yield name


def _of_roles(parts: Sequence[SqlPart]) -> str:
    """Return the title if only settings of roles are changed; otherwise nothing."""
    roles = list(_roles(parts))
    if len(roles) < len(parts):
        return ""
    verb = "Set" if all(part.node.setstmt.args for part in parts) else "Change"
    verb = "Reset" if not any(part.node.setstmt.args for part in parts) else verb
    names = listed(setting_name(part.node) for part in parts)
    who = "role" if len(set(roles)) == 1 else "roles"
    return f"{verb} {names} for {who} {listed(roles)}"


def _keys(proposal: Proposal) -> Iterator[Hashable]:
    yield proposal.finding.id
    yield from (part.text for part in proposal.main)
    yield from (("role", name) for name in _roles(proposal.parts))
    yield from (change.scope for change in _changes(proposal))


def _changes(proposal: Proposal) -> Iterator[_Change]:
    for step in proposal.steps:
        for part in step.parts:
            scope = _scope(part.node)
            if scope is not None:
                yield _Change(proposal, step, part, scope, _value(part.node.setstmt))


def _scope(node: Any) -> SettingScope | None:
    match node:
        case ast.AlterSystemStmt():
            return ("server", setting_name(node))
        case ast.AlterRoleSetStmt():
            who = str(node.role.rolename) if node.role else ""
            return ("role", who, str(node.database or ""), setting_name(node))
        case ast.AlterDatabaseSetStmt():
            return ("database", str(node.dbname), setting_name(node))
    return None


def _value(statement: Any) -> str:
    """Return a setting's new value in words; empty for RESET."""
    values = (getattr(c, "val", c) for c in statement.args or ())
    return ", ".join(
        str(getattr(v, "sval", None) or getattr(v, "ival", None) or getattr(v, "fval", ""))
        for v in values
    )


def _is_larger(value: str, other: str) -> bool:
    try:
        return units.read_size(value) > units.read_size(other)
    except ValueError:
        return False


def _is_servers(part: SqlPart) -> bool:
    return isinstance(part.node, ast.AlterSystemStmt)


def _is_other(step: ProposedStep) -> bool:
    """Tell whether a step is about something else than the server's settings."""
    return not any(_is_servers(part) or RELOAD in functions(part) for part in step.parts)


def _has_more(proposal: Proposal) -> bool:
    return any(map(_is_other, proposal.steps))


def _without_reload(change: _Change) -> Remedy:
    old = change.step.remedy
    remedy = Remedy(
        change.part.sql, old.lock, in_transaction=False, undo="\n".join(_undone(change))
    )
    return authority.signed(change.proposal.snapshot, remedy)


def _alone(change: _Change) -> Remedy:
    """Return what changes one setting, without what its step changes besides."""
    old = change.step.remedy
    if len(change.step.parts) == 1:
        return old
    # comments tell what to note before, if the way back is not known
    undo = "\n".join(_undone(change)) if change.step.undo_parts else old.undo
    remedy = Remedy(change.part.sql, old.lock, old.in_transaction, undo)
    return authority.signed(change.proposal.snapshot, remedy)


def _undone(change: _Change) -> list[str]:
    """Return what restores one setting, without the reload."""
    return [
        part.sql
        for part in change.step.undo_parts
        if RELOAD not in functions(part)
        if _scope(part.node) in (None, change.scope)
    ]
