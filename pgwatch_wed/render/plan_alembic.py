"""The plan's changes of the schema as revisions for the user's own Alembic project, one per database."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.findings import Action, Report
from pgwatch_wed.remedies.resumable import StepKind, blocks_of
from pgwatch_wed.render.alembic_source import (
    alembic_revision,
    missing_from_revision,
    python_comment,
)
from pgwatch_wed.render.plan_words import PlanLine

_SUMMARY = "Changes that db-analyze plan recommends."
LEFT_OUT = "settings, sessions, VACUUM and other maintenance are no changes of the schema: db-analyze plan --as sql has them"


@dataclass(frozen=True, slots=True)
class PlanRevision:
    """A revision file of an Alembic project. ``left_out`` are the titles of the actions that are not in it."""

    id: str
    name: str
    source: str


def plan_revisions(report: Report, head: str | None) -> tuple[PlanRevision, ...]:
    """Return the revisions that follow ``head``, one per database; none if the schema is to stay as it is."""
    made: list[PlanRevision] = []
    chosen = [(a.database or report.target.database, a) for a in in_schema(report.plan.actions)]
    databases = dict.fromkeys((*report.target.databases, *(where for where, _ in chosen)))
    several = len(databases) > 1
    for database in databases:
        actions = [action for where, action in chosen if where == database]
        if actions:
            here = database if several else None
            made.append(_revision(report, actions, made[-1].id if made else head, here))
    return tuple(made)


def in_schema(actions: Iterable[Action]) -> Iterator[Action]:
    """Yield the actions that change the schema, and that need nobody's decision."""
    for action in actions:
        steps = [step for block in blocks_of(action) for step in block.steps]
        if not action.by_hand and any(step.kind is StepKind.SCHEMA for step in steps):
            yield action


def left_out(report: Report) -> tuple[Action, ...]:
    """Return the actions that are in no revision."""
    chosen = set(map(id, in_schema(report.plan.actions)))
    return tuple(a for a in report.plan.actions if id(a) not in chosen)


def missing_parts(report: Report) -> tuple[tuple[Action, tuple[str, ...]], ...]:
    """Return the actions that a revision has only in part, each with the statements that are not in it."""
    parts = (
        (a, tuple(missing_from_revision(blocks_of(a)))) for a in in_schema(report.plan.actions)
    )
    return tuple((action, missing) for action, missing in parts if missing)


def _revision(
    report: Report, actions: Sequence[Action], head: str | None, database: str | None
) -> PlanRevision:
    about = _about(report, actions, database)
    made = alembic_revision(_SUMMARY, about, actions, head, database)
    return PlanRevision(made.id, f"{made.id}_db_analyze_plan.py", made.source)


def _about(report: Report, actions: Sequence[Action], database: str | None) -> Iterator[str]:
    target = report.target
    where = f"database {database} of {target.label}" if database else target.label
    yield python_comment(
        f"For {where}, PostgreSQL {target.version}; facts of {report.generated_at:%Y-%m-%d %H:%M:%S %Z}."
    )
    yield python_comment(f"{units.count(len(actions), 'action')}; {LEFT_OUT}.")
    for action in actions:
        yield python_comment(action.title, "# - ")
        facts = PlanLine(action.title, (action,)).facts
        yield from (python_comment(f"{label}: {words}", "#   ") for label, words in facts)
