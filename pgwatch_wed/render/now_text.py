"""The moment of `db-analyze now` for a terminal: who blocks whom, what to do once, then everything else, in 80 columns."""

from collections.abc import Iterable, Sequence

from pgwatch_wed import units
from pgwatch_wed.findings import Severity
from pgwatch_wed.render.characters import visible_line
from pgwatch_wed.render.now_view import (
    HORIZON_FACTS,
    LONG_WAIT_S,
    BlockedSession,
    BlockingRoot,
    NowView,
)
from pgwatch_wed.render.text_page import TextPage

_COLOURS = {Severity.CRITICAL: "1;31", Severity.WARNING: "1;33", Severity.INFO: "1;36"}
_MOST_ROOTS = 8
_MOST_BEHIND = 6
_MOST_STEPS = 6
_MOST_OWNERS = 6
_MOST_SLOTS = 6
_LEAST_WIDTH_OF_QUERY = 30


def text(view: NowView, label: str, *, width: int = 80, colour: bool = False) -> str:
    """Return what is going on; ``label`` names the server as the user did."""
    page = TextPage(width, colour=colour)
    kind = "standby" if view.is_standby else "primary"
    moment = f"{view.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    page.wrap(f"{label} · PostgreSQL {view.version} · {kind} · {moment}", style="1")
    page.line()
    _locks(page, view)
    _steps(page, view)
    _connections(page, view)
    _running(page, view)
    _vacuum(page, view)
    _wal(page, view)
    _noted(page, view)
    _lacking(page, view)
    page.wrap(f"{units.count(view.queries, 'query', 'queries')} sent to the server.", style="2")
    return str(page) + "\n"


def _cut(page: TextPage, text: str, indent: int) -> str:
    """Return one line that fits, whatever is in it."""
    line, room = " ".join(visible_line(text).split()), page.width - indent
    return line if len(line) <= room else f"{line[: room - 1]}…"


def _one(page: TextPage, head: str, said: str, style: str = "") -> None:
    page.line(head + _cut(page, said, len(head)), style)


def _is_unread(page: TextPage, head: str, why: str) -> bool:
    """Say that it is unknown what a part contains; an empty one would look like good news."""
    if why:
        page.wrap(f"{head}: unknown, they could not be read: {why}", style="1", hang="  ")
        page.line()
    return bool(why)


def _for(seconds: float | None) -> str:
    return units.duration(seconds * 1000) if seconds is not None else "?"


# Locks


def _locks(page: TextPage, view: NowView) -> None:
    if _is_unread(page, "Locks", view.unread.get("lock_waits", "")):
        return
    if not view.waiting_sessions:
        page.line("Locks: nobody waits", "1")
        page.line()
        return
    wait = "session waits" if view.waiting_sessions == 1 else "sessions wait"
    page.line(f"Locks: {view.waiting_sessions:,} {wait}, {_longest(view)}", "1")
    for root in view.roots[:_MOST_ROOTS]:
        _root(page, root)
    if (more := len(view.roots) - _MOST_ROOTS) > 0:
        page.line(f"  and {units.count(more, 'more blocker')}")
    if view.in_circles:
        pids = ", ".join(map(str, view.in_circles[:10]))
        page.wrap(f"in a circle, which the server resolves as a deadlock: {pids}", "  ")
    page.line()


def _longest(view: NowView) -> str:
    if view.longest_wait_seconds is None:
        return "for how long is not visible to this role"
    least = "at least " if view.waits_of_unknown_length else ""
    return f"the longest for {least}{_for(view.longest_wait_seconds)}"


def _root(page: TextPage, root: BlockingRoot) -> None:
    name = str(root.pid) if root.gid is None else f"prepared transaction {root.gid}"
    blocks = f"blocks {root.waiting_sessions:,}"
    page.wrap(f"{name} {root.who}{_from(root.client)}, {blocks}", "  ", "1;33", hang="      ")
    page.wrap(f"{root.doing}{_open_for(root)}", "      ")
    if root.holds:
        more = f" and {len(root.holds) - 3} more" if len(root.holds) > 3 else ""
        page.wrap(f"holds {', '.join(root.holds[:3])}{more}", "      ", hang="        ")
    if root.query:
        _one(page, "      last: ", root.query)
    _tree(page, root.behind, "  ")


def _from(client: str | None) -> str:
    return f" from {client}" if client not in (None, "local") else ""


def _open_for(root: BlockingRoot) -> str:
    opened = root.transaction_seconds
    return f"; its transaction began {_for(opened)} ago" if opened is not None else ""


def _tree(page: TextPage, behind: Sequence[BlockedSession], indent: str) -> None:
    alike = _alike(behind)
    shown = alike[:_MOST_BEHIND] if len(alike) > _MOST_BEHIND + 1 else alike
    left = sum(each.size for same in alike[len(shown) :] for each in same)
    for place, same in enumerate(shown):
        is_last = place == len(shown) - 1 and not left
        _blocked(page, same, f"{indent}{'└─' if is_last else '├─'} ", is_last, indent)
    if left:
        page.line(f"{indent}└─ and {left:,} more")


def _alike(behind: Sequence[BlockedSession]) -> list[list[BlockedSession]]:
    """Return sessions of one kind together, unless others wait behind one: they are one line."""
    found: dict[tuple[object, ...], list[BlockedSession]] = {}
    for s in behind:
        kind = (s.who, s.mode, s.lock_type, s.relation, s.query)
        found.setdefault((s.pid,) if s.behind else kind, []).append(s)
    return list(found.values())


def _lock(each: BlockedSession) -> str:
    # who waits for a row waits for the transaction that has changed it
    what = "row lock" if each.lock_type in ("transactionid", "tuple") else each.mode
    if each.relation:
        return f"{what} on {each.relation}"
    return what if what != each.mode else f"{what} ({each.lock_type})"


def _blocked(
    page: TextPage, same: Sequence[BlockedSession], head: str, is_last: bool, indent: str
) -> None:
    each = same[0]  # which waits for the longest time
    wait = f"and {len(same) - 1:,} more wait up to" if len(same) > 1 else "waits"
    said = f"{wait} {_for(each.waited_seconds)}: {_lock(each)}, {each.who}"
    _one(page, f"{head}{each.pid} ", said)
    below = f"{indent}{'   ' if is_last else '│  '}"
    if len(below) > page.width - _LEAST_WIDTH_OF_QUERY:
        if each.behind:
            page.line(f"{below[:20]}… and {each.size - 1:,} behind it")
        return
    if each.query:
        _one(page, f"{below}{'│' if each.behind else ' '}    ", each.query)
    _tree(page, each.behind, below)


# What to do


def _why_nothing(view: NowView) -> str:
    if view.unjudged:
        return f": unknown, {_not_evaluated(view)}"
    if not view.waiting_sessions or (view.longest_wait_seconds or 0.0) >= LONG_WAIT_S:
        return ": nothing"
    return (
        f": nothing yet, waits of less than {units.short(LONG_WAIT_S)} s mostly end by themselves"
    )


def _not_evaluated(view: NowView) -> str:
    return "; ".join(dict.fromkeys(reason for _, reason in view.unjudged))


def _steps(page: TextPage, view: NowView) -> None:
    steps = view.steps
    page.wrap(f"What to do once{'' if steps else _why_nothing(view)}", style="1", hang="  ")
    for place, step in enumerate(steps[:_MOST_STEPS], 1):
        page.wrap(step.title, f"  {place}. ", _COLOURS[step.severity], hang="     ")
        page.wrap(step.detail, "     ")
        for remedy in step.remedies:
            page.code(remedy.sql, "     ")
            page.wrap(f"effect: {remedy.lock.removeprefix('none; ')}", "     ", hang="       ")
            if remedy.run_as:
                page.wrap(f"run as: {remedy.run_as}", "     ", hang="       ")
        for caveat in step.caveats:
            page.wrap(f"note: {caveat}", "     ", hang="       ")
    if (more := len(steps) - _MOST_STEPS) > 0:
        page.line(f"  and {more:,} more: --format json")
    if steps and view.unjudged:
        page.wrap(f"There may be more: {_not_evaluated(view)}", "  ", hang="    ")
    page.line()


# The rest


def _listed(counts: Iterable[tuple[str, int]], most: int) -> str:
    every = list(counts)
    more = sum(n for _, n in every[most:])
    shown = [f"{name} {n:,}" for name, n in every[:most]]
    return " · ".join([*shown, *([f"others {more:,}"] if more else [])])


def _connections(page: TextPage, view: NowView) -> None:
    if _is_unread(page, "Connections", view.unread.get("sessions", "")):
        return
    used = view.connections
    room = used.available
    share = f" of {room:,} ({units.share(used.used / room)})" if room else ""
    kept = f", {used.reserved} more reserved" if used.reserved else ""
    page.line(f"Connections: {used.used:,}{share}{kept}", "1")
    if used.by_state:
        page.wrap(_listed(used.by_state, 8), "  ")
        page.wrap(_listed(used.by_application, _MOST_OWNERS), "  ", hang="  ")
    page.line()


def _running(page: TextPage, view: NowView) -> None:
    if _is_unread(page, "Running", view.unread.get("sessions", "")):
        return
    visible = " that this role may see" if view.hidden_sessions else ""
    page.line(f"Running: {units.count(view.running_count, 'statement')}{visible}", "1")
    for each in view.running:
        wait = f" [{each.wait}]" if each.wait else ""
        head = f"  {each.pid:>7} {_for(each.seconds):>8}  "
        _one(page, head, f"{each.who}{_from(each.client)}{wait}")
        if each.query:
            _one(page, "                    ", each.query)
    if (more := view.running_count - len(view.running)) > 0:
        page.line(f"  and {more:,} more")
    if view.waits:
        page.wrap(f"active sessions: {_listed(view.waits, 8)}", "  ", hang="    ")
    page.line()


def _vacuum(page: TextPage, view: NowView) -> None:
    page.line("VACUUM", "1")
    for each in view.holders:
        held = f", for {_for(each.held_seconds)}" if each.held_seconds is not None else ""
        what = "" if each.pins == "rows" else ", of the catalogs only"
        age = units.count(each.age_xids, "transaction")
        where = f", in database {each.database}" if each.database else ""
        page.wrap(f"{each.who}{held}, by {age}{what}{where}", "  held back by: ", hang="    ")
    if unread := view.why_unread(*HORIZON_FACTS):
        page.wrap(f"unknown, could not be read: {unread}", "  held back by: ", hang="    ")
    elif not view.holders:
        visible = " that this role may see" if view.hidden_sessions else ""
        page.line(f"  held back by nothing{visible}")
    _freezing(page, view)
    page.line()


def _freezing(page: TextPage, view: NowView) -> None:
    if unread := view.why_unread("databases"):
        page.wrap(f"unknown, could not be read: {unread}", "  freezing: ", hang="    ")
        return
    listed = ", ".join(f"{f.database} {units.share(f.used_share)}" for f in view.freezing)
    oldest = max((f.xid_age for f in view.freezing), default=0)
    due = f", autovacuum is due at {view.freeze_max_age:,}" if view.freeze_max_age else ""
    page.wrap(
        f"{listed} of the way to wraparound; the oldest transaction ID has an age of {oldest:,}{due}",
        "  freezing: ",
        hang="    ",
    )


def _wal(page: TextPage, view: NowView) -> None:
    said = "its size is not visible"
    if view.wal is not None:
        said = f"{units.size(view.wal.bytes)} in {units.count(view.wal.files, 'file')}"
    page.line(f"WAL: {said}", "1")
    if unread := view.why_unread("slots"):
        page.wrap(f"unknown, could not be read: {unread}", "  slots: ", hang="    ")
    for slot in view.slots[:_MOST_SLOTS]:
        active = "active" if slot.is_active else "inactive"
        kept = units.size(slot.retained_bytes) if slot.retained_bytes is not None else "nothing"
        safe = f", lost in {units.size(slot.safe_bytes)}" if slot.safe_bytes is not None else ""
        status = f", {slot.status}" if slot.status else ""
        page.wrap(
            f"slot {slot.name} ({slot.slot_type}), {active}, keeps {kept}{safe}{status}", "  "
        )
    if (more := len(view.slots) - _MOST_SLOTS) > 0:
        page.line(f"  and {units.count(more, 'more slot')}")
    page.line()


def _noted(page: TextPage, view: NowView) -> None:
    if not view.noted:
        return
    page.line("Also seen", "1")
    for finding in view.noted:
        page.wrap(f"{finding.title} ({finding.rule})", "  ", _COLOURS[finding.severity], "    ")
        page.wrap(finding.detail, "    ")
    page.wrap(f"Next: db-analyze explain {view.noted[0].rule}", "  ")
    page.line()


def _lacking(page: TextPage, view: NowView) -> None:
    if not view.lacking:
        return
    page.line("Not visible", "1")
    for reason, mend in view.lacking:
        page.wrap(reason, "  ", hang="    ")
        if mend:
            page.code(mend, "    ")
    page.line()
