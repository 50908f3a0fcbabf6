"""The plan as a script for psql, and the script that undoes it."""

import shlex
from collections.abc import Callable, Iterable, Sequence

from pgwatch_wed import units
from pgwatch_wed.findings import Action, ActionStage, Report
from pgwatch_wed.remedies.resumable import SHORT, StepBlock, StepKind, blocks_of, undo_blocks_of
from pgwatch_wed.render.plan_words import (
    PlanLine,
    closed_names,
    plan_databases,
    plan_sentence,
    shown_findings,
)
from pgwatch_wed.render.psql_script import PsqlScript, reachable

_UNREACHABLE = "psql cannot connect to a database with a line break in its name"

_BlocksOf = Callable[[Action], Sequence[StepBlock]]
_CommentsOf = Callable[[Action], Sequence[str]]


def plan_script(report: Report, undo_name: str = "") -> str:
    """Render the script; ``undo_name`` is the file that undoes it, if there is one."""
    undo = [f"{undo_name} undoes it."] if undo_name else []
    notes = [
        plan_sentence(report) or "There is nothing to do.",
        *_by_hand(report.plan.actions),
        *undo,
    ]
    return _script("Plan", report, report.plan.actions, blocks_of, notes, _about(report))


def undo_script(report: Report) -> str:
    """Render what takes the plan back, the last action first."""
    notes = ["Undo of the plan. What was not done, or is undone already, is skipped."]
    actions = [a for a in report.plan.actions if not a.by_hand]
    return _script("Undo", report, actions[::-1], undo_blocks_of, notes, _about_undo)


def _by_hand(actions: Iterable[Action]) -> list[str]:
    left = sum(bool(a.by_hand) for a in actions)
    return (
        [f"Of these, {units.count(left, 'is', 'are')} left to a person (comments)."] if left else []
    )


def _about(report: Report) -> _CommentsOf:
    known = shown_findings(report)

    def comments(action: Action) -> list[str]:
        line = PlanLine(action.title, (action,))
        named = (("closes", ", ".join(closed_names(report, line, known))), *line.facts)
        return [f"{label}: {words}" for label, words in named if words]

    return comments


def _about_undo(action: Action) -> list[str]:
    facts = dict(PlanLine(action.title, (action,)).facts)
    return [f"run as: {facts['run as']}"] if "run as" in facts else []


def _script(
    what: str,
    report: Report,
    actions: Sequence[Action],
    steps: _BlocksOf,
    notes: Iterable[str],
    comments: _CommentsOf,
) -> str:
    script = PsqlScript()
    connects = len(plan_databases(report)) > 1
    _head(script, what, report, notes)
    script.begin()
    done = [a for a in actions if not a.by_hand]
    if done:
        is_here = not connects and any(a.database for a in done)
        script.refuse_elsewhere(
            report.target.database if is_here else None, report.target.system_identifier
        )
    script.begin_session()
    writer = _Writer(script, connects=connects, steps=steps, comments=comments)
    for place, action in enumerate(actions, 1):
        writer.action(f"[{place}/{len(actions)}] {what.lower()}:", action)
    writer.reload()
    script.gap()
    for action in actions:
        if action.needs_restart and not action.by_hand:
            script.echo(f"restart the server: {action.title}")
    script.end()
    script.echo("done")
    return str(script)


def _head(script: PsqlScript, what: str, report: Report, notes: Iterable[str]) -> None:
    target = report.target
    script.comment(
        f"{what} of db-analyze {report.tool_version} for {target.label}, PostgreSQL {target.version}",
        f"Facts of {report.generated_at:%Y-%m-%d %H:%M:%S %Z}, read as {target.role}; what has changed since is not known here.",
        *notes,
        f"Run it with psql -X -d {shlex.quote(target.database)} -f FILE: not with -1, and not through a pooler in transaction mode.",
        f"A statement that blocks others waits for its lock for at most {SHORT}. If the script stops, run it again:"
        " what is done is skipped.",
    )


class _Writer:
    """Writes actions, each in its database; settings take effect with one reload."""

    def __init__(
        self, script: PsqlScript, *, connects: bool, steps: _BlocksOf, comments: _CommentsOf
    ) -> None:
        self._script = script
        self._connects = connects
        self._steps = steps
        self._comments = comments
        self._awaits_reload: ActionStage | None = None

    def action(self, place: str, action: Action) -> None:
        """Write an action: what it is in comments, then its statements, or all of it in comments."""
        if self._awaits_reload is not None and action.stage is not self._awaits_reload:
            self.reload()
        script = self._script
        script.gap()
        script.comment(f"{place} {action.title}", *self._comments(action))
        if why := self._why_not(action):
            script.comment(f"by hand: {why}")
            for remedy in action.statements:
                script.code_as_comment(remedy.sql)
            return
        blocks = self._steps(action)
        does_something = any(s.kind is not StepKind.COMMENT for b in blocks for s in b.steps)
        if action.database is not None and self._connects and does_something:
            script.connect(action.database)
        script.echo(f"{place} {action.title}")
        self._blocks(action, blocks)

    def reload(self) -> None:
        """Write the reload that settings are waiting for, if any are."""
        if self._awaits_reload is not None:
            self._script.reload()
            self._awaits_reload = None

    def _why_not(self, action: Action) -> str:
        if self._connects and action.database is not None and not reachable(action.database):
            return _UNREACHABLE
        return action.by_hand

    def _blocks(self, action: Action, blocks: Iterable[StepBlock]) -> None:
        for block in blocks:
            if any(step.kind is StepKind.RELOAD for step in block.steps):
                self._awaits_reload = action.stage
            else:
                self._script.block(block)
