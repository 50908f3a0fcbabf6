"""The plan's changes of the schema as revisions for the user's own Alembic project, one per database."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pgwatch_wed import units
from pgwatch_wed.findings import Action, Report
from pgwatch_wed.remedies.resumable import (
    ResumableStep,
    StepBlock,
    StepKind,
    blocks_of,
    undo_blocks_of,
)
from pgwatch_wed.render.characters import visible_line
from pgwatch_wed.render.plan_words import PlanLine

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
    parts = ((a, tuple(_missing(blocks_of(a)))) for a in in_schema(report.plan.actions))
    return tuple((action, missing) for action, missing in parts if missing)


def _missing(blocks: Iterable[StepBlock]) -> Iterator[str]:
    """Yield what a person has to run; a reload goes with the setting."""
    for step in (s for block in blocks for s in block.steps if not _belongs(s)):
        if step.kind not in (StepKind.COMMENT, StepKind.RELOAD):
            yield step.sql


def _revision(
    report: Report, actions: Sequence[Action], head: str | None, database: str | None
) -> PlanRevision:
    upgrade = _body(((a.title, blocks_of(a)) for a in actions), database)
    downgrade = _body(
        ((f"undo: {a.title}", undo_blocks_of(a)) for a in reversed(actions)), database
    )
    key = "\x1f".join((str(head), database or "", upgrade, downgrade))
    revision = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    source = _SOURCE.format(
        about="\n".join(_about(report, actions, database)),
        revision=revision,
        head=ascii(head),
        only_in=_ONLY_IN.format(name=ascii(database)) if database else "",
        upgrade=upgrade,
        downgrade=downgrade,
        elsewhere=_ELSEWHERE if database else "",
    )
    return PlanRevision(revision, f"{revision}_db_analyze_plan.py", source)


def _about(report: Report, actions: Sequence[Action], database: str | None) -> Iterator[str]:
    target = report.target
    where = f"database {database} of {target.label}" if database else target.label
    yield _comment(
        f"For {where}, PostgreSQL {target.version}; facts of {report.generated_at:%Y-%m-%d %H:%M:%S %Z}."
    )
    yield _comment(f"{units.count(len(actions), 'action')}; {LEFT_OUT}.")
    for action in actions:
        yield _comment(action.title, "# - ")
        facts = PlanLine(action.title, (action,)).facts
        yield from (_comment(f"{label}: {words}", "#   ") for label, words in facts)


def _body(actions: Iterable[tuple[str, Sequence[StepBlock]]], database: str | None) -> str:
    """Return the body of a function. What need not be in a transaction is in an autocommit block, so that it keeps no locks."""
    lines = ["    if _is_elsewhere():", "        return"] if database else []
    keeps_locks = False
    for title, done in actions:
        lines.append(_comment(title, "    # "))
        lines += [_comment(f"not here: {sql}", "    # ") for sql in _missing(done)]
        for is_transaction, steps in _parts(done):
            if not is_transaction or keeps_locks:
                lines.append(f"    {_AUTOCOMMIT}")
            if is_transaction and keeps_locks:
                lines.append(
                    "        pass  # commits, so that the locks of what was before are not kept"
                )
            indent = " " * (4 if is_transaction else 8)
            lines += [f"{indent}{line}" for step in steps for line in _call(step)]
            keeps_locks = is_transaction
    has_code = any(not line.lstrip().startswith("#") for line in lines)
    return "\n".join(lines if has_code else [*lines, "    pass"])


def _parts(blocks: Iterable[StepBlock]) -> Iterator[tuple[bool, list[ResumableStep]]]:
    """Yield what runs in one transaction each, and between them what each commits by itself."""
    for block_of, some in groupby(
        enumerate(blocks), lambda b: b[0] if b[1].is_transaction else None
    ):
        steps = [s for _, block in some for s in block.steps if _belongs(s)]
        if steps:
            yield block_of is not None, steps


def _belongs(step: ResumableStep) -> bool:
    """Tell whether a statement is part of a revision: VACUUM is not, REINDEX and ANALYZE make a change take effect."""
    is_analyze = step.kind is StepKind.MAINTENANCE and not step.is_alone
    return step.kind in (StepKind.SCHEMA, StepKind.REBUILD) or is_analyze


def _call(step: ResumableStep) -> Iterator[str]:
    yield "_run("
    yield from _argument("", step.sql)
    if step.needed:
        yield from _argument("needed=", step.needed)
    if step.leftover:
        yield from _argument("leftover=", step.leftover)
    yield f"    lock_timeout={step.lock_timeout!r},"
    yield ")"


def _argument(name: str, sql: str) -> Iterator[str]:
    """Yield a string of Python, a line of SQL on each; what is not printable, as an escape."""
    lines = sql.splitlines(keepends=True)
    if len(lines) == 1:
        yield f"    {name}{sql!r},"
        return
    yield f"    {name}("
    yield from (f"        {line!r}" for line in lines)
    yield "    ),"


def _comment(text: str, mark: str = "# ") -> str:
    return f"{mark}{visible_line(' '.join(text.split()))}"


_AUTOCOMMIT = "with op.get_context().autocommit_block():"

_SOURCE = '''"""Changes that db-analyze plan recommends.

Each statement is skipped if its work is done, so that an upgrade that stopped half-way can be run again.
All but those that belong together run in autocommit blocks, for which env.py must not have begun a transaction
of its own.
"""

{about}

import sqlalchemy as sa
from alembic import context, op

revision = {revision!r}
down_revision = {head}
branch_labels = None
depends_on = None
{only_in}

def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}


{elsewhere}def _run(sql: str, needed: str = "", leftover: str = "", lock_timeout: str = "2s") -> None:
    """Run a statement if it is still needed, after removing what an interrupted one has left."""
    if context.is_offline_mode() and not sql:
        return
    if context.is_offline_mode():
        op.execute(f"SET lock_timeout = '{{lock_timeout}}'")
        op.execute(_literally(f"{{sql}}\\n"))  # a comment at its end must not swallow the semicolon
        op.execute("RESET lock_timeout")
        return
    bind = op.get_bind()
    drops = bind.scalars(_literally(leftover)).all() if leftover else []
    before = _timeouts(lock_timeout, "0")
    for drop in drops:
        op.execute(_literally(drop))
    if sql and (not needed or bind.scalar(_literally(needed))):
        op.execute(_literally(sql))
    _timeouts(*before)


def _timeouts(lock: str, statement: str) -> tuple[str, str]:
    """Set how long to wait for a lock, and how long a statement may take; return what it was."""
    names = ("lock_timeout", "statement_timeout")
    bind = op.get_bind()
    before = [bind.scalar(sa.text(f"SHOW {{name}}")) for name in names]
    for name, value in zip(names, (lock, statement), strict=True):
        bind.execute(
            sa.text("SELECT pg_catalog.set_config(:name, :value, false)"),
            {{"name": name, "value": value}},
        )
    return before[0], before[1]


def _literally(sql: str) -> sa.TextClause:
    """Keep SQLAlchemy from taking ``:name`` for a parameter."""
    return sa.text(sql.replace(":", "\\\\:"))
'''

_ONLY_IN = """
# The plan is for several databases, and this revision for one of them.
ONLY_IN = {name}
"""
_ELSEWHERE = """def _is_elsewhere() -> bool:
    if context.is_offline_mode():
        raise RuntimeError("offline mode does not tell which database this is: run it online")
    return op.get_bind().scalar(sa.text("SELECT pg_catalog.current_database()")) != ONLY_IN


"""
