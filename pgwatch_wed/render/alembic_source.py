"""What revisions for the user's own Alembic project have in common: steps that can be run again, and keep no lock for long."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pgwatch_wed.findings import Action
from pgwatch_wed.remedies.resumable import (
    ResumableStep,
    StepBlock,
    StepKind,
    blocks_of,
    undo_blocks_of,
)
from pgwatch_wed.render.characters import visible_line


@dataclass(frozen=True, slots=True)
class AlembicRevision:
    """The id of a revision, and its file as Python."""

    id: str
    source: str


def alembic_revision(
    summary: str,
    about: Iterable[str],
    actions: Sequence[Action],
    head: str | None,
    database: str | None = None,
) -> AlembicRevision:
    """Return the revision that does the actions, and undoes them.

    ``about`` are lines of comment; ``database``, if the revision does nothing in others.
    """
    upgrade = _body(((a.title, blocks_of(a)) for a in actions), database)
    downgrade = _body(
        ((f"undo: {a.title}", undo_blocks_of(a)) for a in reversed(actions)), database
    )
    key = "\x1f".join((str(head), database or "", upgrade, downgrade))
    revision = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    source = _SOURCE.format(
        summary=summary,
        about="\n".join(about),
        revision=revision,
        head=ascii(head),
        only_in=_ONLY_IN.format(name=ascii(database)) if database else "",
        upgrade=upgrade,
        downgrade=downgrade,
        elsewhere=_ELSEWHERE if database else "",
    )
    return AlembicRevision(revision, source)


def missing_from_revision(blocks: Iterable[StepBlock]) -> Iterator[str]:
    """Yield what a person has to run; a reload goes with the setting."""
    for step in (s for block in blocks for s in block.steps if not _belongs(s)):
        if step.kind not in (StepKind.COMMENT, StepKind.RELOAD):
            yield step.sql


def python_comment(text: str, mark: str = "# ") -> str:
    """Return a text as a comment on one line."""
    return f"{mark}{visible_line(' '.join(text.split()))}"


def _body(actions: Iterable[tuple[str, Sequence[StepBlock]]], database: str | None) -> str:
    """Return the body of a function. What need not be in a transaction is in an autocommit block, so that it keeps no locks."""
    lines = ["    if _is_elsewhere():", "        return"] if database else []
    keeps_locks = False
    for title, done in actions:
        lines.append(python_comment(title, "    # "))
        lines += [
            python_comment(f"not here: {sql}", "    # ") for sql in missing_from_revision(done)
        ]
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


_AUTOCOMMIT = "with op.get_context().autocommit_block():"

_SOURCE = '''"""{summary}

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
