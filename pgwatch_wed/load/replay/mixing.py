"""A window of production → the mix that is run on a copy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg

from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Statement
from pgwatch_wed.load.load_model import LoadScript, QueryProtocol
from pgwatch_wed.load.replay.effects_reached import EffectsReached
from pgwatch_wed.load.replay.replay_mix import NOT_REPRODUCED, ReplayMix
from pgwatch_wed.load.replay.replay_role import ReplayRole, standing
from pgwatch_wed.load.replay.replay_text import script
from pgwatch_wed.load.replay.replay_window import ReplayWindow
from pgwatch_wed.load.replay.replayed_query import (
    NotReplayedError,
    Replayer,
    there_of,
)
from pgwatch_wed.load.stress_report import ReplayedStatement, ReplayFidelity
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.whatif.proof import copies
from pgwatch_wed.whatif.proof.call_trial import (
    FACTOR,
    CallWork,
    blocks_apart,
    deviation,
    rows_apart,
)
from pgwatch_wed.whatif.proof.fitted_values import FittedCall

MOST_STATEMENTS = 100  # pgbench takes at most 128 scripts
_WEIGHTS = 100_000
_LIMIT_MS = 30_000
_TEMP_FILES = "4GB"
_TRIED_STATEMENTS = 300
_SHOWN_TEXT = 200


@contextmanager
def mixed(
    window: ReplayWindow,
    copy: str,
    *,
    path: str = "",
    seed: int = 1,
    progress: Progress = silent,
    left: list[str] | None = None,
) -> Iterator[ReplayMix]:
    """Yield the mix of a window for a copy, while the role that it runs as exists.

    ``path`` is production's search path; without it, the copy's. Who calls has made sure that the copy is one. In ``left``
    is told at the end what could not be dropped. Raises :class:`pgwatch_wed.errors.Error` kinds.
    """
    told = [] if left is None else left
    with (
        copies.connected(copy) as admin,
        standing(admin, copy, told) as role,
        copies.connected(copy) as asking,
    ):
        path = _path(admin, path, window.statements)
        settings = _settings(role, path)
        for name, value in settings.items():
            asking.execute("select pg_catalog.set_config(%s, %s, false)", [name, value])
        replayer = Replayer(EffectsReached(admin), asking, path, seed, _LIMIT_MS)
        yield _mix(window, replayer, settings, progress)


def _path(admin: psycopg.Connection[Any], path: str, statements: Sequence[Statement]) -> str:
    """Return the search path, with the users of the window for ``$user``: the sessions run as another role."""
    if not path:
        row = admin.execute(
            "select coalesce((select split_part(c, '=', 2) from pg_catalog.pg_db_role_setting s,"
            " unnest(s.setconfig) c where c like 'search\\_path=%' and s.setrole = 0 and s.setdatabase ="
            " (select oid from pg_catalog.pg_database where datname = current_database())),"
            " (select reset_val from pg_catalog.pg_settings where name = 'search_path'))"
        ).fetchone()
        path = str(row[0]) if row else "public"
    users = list(dict.fromkeys(s.user for s in statements if s.user))
    known = {n for (n,) in admin.execute("select nspname::text from pg_catalog.pg_namespace")}
    names = ", ".join('"' + u.replace('"', '""') + '"' for u in users if u in known)
    parts = (names if p.strip() == '"$user"' else p.strip() for p in path.split(","))
    return ", ".join(p for p in parts if p)


def _settings(role: ReplayRole, path: str) -> dict[str, str]:
    limits = {"temp_file_limit": _TEMP_FILES} if role.is_superuser else {}
    return {
        **limits,
        "default_transaction_read_only": "on",
        "statement_timeout": f"{_LIMIT_MS}ms",
        "lock_timeout": "5s",
        "search_path": path,
        **({"role": role.name} if role.name else {}),
    }


def _mix(
    window: ReplayWindow, replayer: Replayer, settings: dict[str, str], progress: Progress
) -> ReplayMix:
    scripts: list[LoadScript] = []
    told: list[ReplayedStatement] = []
    sources: dict[str, str] = {}
    used: list[Statement] = []
    ranked = _ranked(window)
    for number, given in enumerate(ranked):
        progress("looking for values of statements", number / len(ranked))
        entry, found = _tried(given, window, replayer, is_full=len(scripts) >= MOST_STATEMENTS)
        told.append(entry)
        if found is not None and entry.is_used:
            name = f"query {given.query_id}"
            weight = max(1, round(_WEIGHTS * given.calls / max(window.calls, 1)))
            text = script(found.texts)
            scripts.append(LoadScript(name=name, text=text, weight=weight, has_user_values=True))
            sources[name] = found.values_from
            used.append(given)
    if not scripts:
        raise _nothing(told)
    calls = sum(s.calls for s in used)
    spent = sum(s.total_exec_ms for s in used)
    protocol, why = _protocol(used)
    fidelity = ReplayFidelity(
        covered_share=spent / window.total_ms if window.total_ms else None,
        statements=tuple(told),
        not_reproduced=NOT_REPRODUCED,
    )
    return ReplayMix(
        label=window.label,
        window_s=window.seconds,
        scripts=tuple(scripts),
        settings=settings,
        protocol=protocol,
        protocol_reason=why,
        rate=calls / window.seconds,
        covered_calls=calls / max(window.calls, 1),
        fidelity=fidelity,
        values_from=sources,
        notes=window.notes,
    )


def _nothing(told: Sequence[ReplayedStatement]) -> UsageError:
    reasons: dict[str, int] = {}
    for each in told:
        reasons[each.reason] = reasons.get(each.reason, 0) + 1
    most = max(reasons, key=lambda r: reasons[r], default="there is none")
    return UsageError(
        f"no statement of the window can be replayed; most often: {most}",
        "a replay needs SELECT statements without side effects, and a copy with their tables and rows",
    )


def _ranked(window: ReplayWindow) -> list[Statement]:
    """Return the statements of which there are most calls, or that take most of the time, first."""

    def weight(s: Statement) -> float:
        return max(s.calls / max(window.calls, 1), s.total_exec_ms / (window.total_ms or 1.0))

    return sorted(window.statements, key=lambda s: (-weight(s), s.query_id))


def _tried(
    given: Statement, window: ReplayWindow, replayer: Replayer, *, is_full: bool
) -> tuple[ReplayedStatement, FittedCall | None]:
    there = there_of(given)
    entry = ReplayedStatement(
        query_id=given.query_id,
        query=" ".join((given.text or "").split())[:_SHOWN_TEXT],
        share=given.total_exec_ms / window.total_ms if window.total_ms else 0.0,
        is_used=False,
        reason=f"{MOST_STATEMENTS} others weigh more",
        rows_there=there.rows,
        blocks_there=there.blocks,
    )
    if is_full:
        return entry, None
    try:
        found = replayer.replayed(given)
    except NotReplayedError as error:
        return replace(entry, reason=str(error)), None
    assert found.work is not None, "what production did is known"
    is_like = deviation(found.work, there) <= FACTOR
    return (
        replace(
            entry,
            is_used=is_like,
            reason="" if is_like else _why_unlike(found.work, there),
            rows_here=found.work.rows,
            blocks_here=found.work.blocks,
        ),
        found,
    )


def _why_unlike(here: CallWork, there: CallWork) -> str:
    """Say what differs beyond the factor; nothing if it does not."""
    parts = []
    if rows_apart(here, there) > FACTOR:
        parts.append(f"{here.rows:,.2f} rows a call instead of {there.rows:,.2f}")
    if blocks_apart(here, there) > FACTOR:
        parts.append(f"{here.blocks:,.0f} blocks a call instead of {there.blocks:,.0f}")
    return f"its replay differs from production: {', '.join(parts)}" if parts else ""


def _protocol(used: Sequence[Statement]) -> tuple[QueryProtocol, str]:
    """Return how statements are sent: planned each time, unless production shows that plans are kept."""
    kept = [s for s in used if s.generic_plan_calls is not None and s.generic_plan_calls > 0]
    planned = [s for s in used if s.plans]
    if sum(s.calls for s in kept) * 2 > sum(s.calls for s in used):
        return QueryProtocol.PREPARED, "most of production's calls use generic plans"
    if planned and sum(s.plans for s in planned) * 2 < sum(s.calls for s in planned):
        return QueryProtocol.PREPARED, "production plans less often than it calls"
    reason = (
        "production plans each call"
        if planned
        else "whether production prepares statements is not known"
    )
    return QueryProtocol.SIMPLE, f"{reason}: each call is planned"
