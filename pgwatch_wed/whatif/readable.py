"""Advice as text for people, 80 columns wide except for the statements that are to be run."""

import math
import textwrap
from collections.abc import Iterable

from pgwatch_wed import units
from pgwatch_wed.findings import Grade
from pgwatch_wed.remedies.script import Script
from pgwatch_wed.whatif.choose.advise import Advice, IndexAdvice, QueryGain
from pgwatch_wed.whatif.model import Rejected
from pgwatch_wed.whatif.proof.truth import QueryTruth, Verified

_WIDTH = 80
_MOST_LINES = 12
_UNITS = {"cost": "planner cost", "ms": "observed time"}
_LARGE = 2.0  # what grows by more, or shrinks to less than a hundredth, is told as a factor
_SMALL = 0.01
_HURT = 1.2


def as_text(advice: Advice) -> str:
    """Return the advice for people."""
    return "\n".join(_lines(advice)) + "\n"


def script_of(advice: IndexAdvice) -> Script:
    """Return the statements that build an index on the target."""
    assert advice.script is not None, "engines.scripted() adds it"
    return advice.script


def few(names: tuple[str, ...]) -> str:
    """Return the first three of several names, and how many more there are."""
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


def change(before: float, after: float) -> str:
    """Return how much more or less something is: ``-53.0%``, ``÷ 120``, ``× 3.2``; nothing if it was nothing."""
    if before <= 0:
        return ""
    ratio = after / before
    if ratio > _LARGE:
        return f"× {_factor(ratio)}"
    if 0 < ratio < _SMALL:
        return f"÷ {_factor(1 / ratio)}"
    return f"{(ratio - 1) * 100:+.1f}%"


def _factor(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _wrapped(text: str, indent: str = "", below: str = "  ") -> list[str]:
    """Return lines of a text; those after the first are further indented."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + below,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(advice: Advice) -> Iterable[str]:
    before, after = (_amount(v, advice) for v in (advice.cost_before, advice.cost_after))
    share = change(advice.cost_before, advice.cost_after)
    yield from _wrapped(
        f"{units.count(len(advice.indexes), 'index', 'indexes')}, {units.size(advice.bytes)} of "
        f"{_budget(advice)}: {_UNITS[advice.unit]} {before} → {after}{share and f' ({share})'}"
    )
    yield f"engine {advice.engine}, {advice.whatif_calls} what-if calls, {advice.seconds:.1f} s"
    if (more := advice.beyond) is not None:
        needed = math.ceil((advice.budget_bytes + more.bytes) / 2**20)
        yield from _wrapped(
            f"{units.size(more.bytes)} more would save another {units.share(more.saved)} of the cost"
            f" (--budget {needed}MB)"
        )
    for each in advice.indexes:
        yield ""
        yield from _few_lines(script_of(each).sql.splitlines())
        yield from _index_lines(each, advice)
    yield from _query_lines(advice)
    if advice.verified is not None:
        yield from _truth_lines(advice.verified)
    for note in advice.notes:
        yield from ("", *_wrapped(note))
    if advice.hidden_statements:
        are = "is" if advice.hidden_statements == 1 else "are"
        yield ""
        yield from _wrapped(
            f"{units.count(advice.hidden_statements, 'statement')} of other roles, in all databases of the server, {are}"
            " hidden from this role, and not part of the observed time; pg_read_all_stats shows them"
        )
    if advice.unseen_ms:
        yield from _wrapped(
            f"{_share_of(advice.unseen_ms, advice)} of the observed time is that of statements whose text is hidden, or of which"
            " there are too many"
        )


def _budget(advice: Advice) -> str:
    size = units.size(advice.budget_bytes)
    if advice.is_default_budget:
        return f"{size} (half of the tables' size, at least 256 MB, unless --budget is given)"
    return f"a budget of {size}"


def _amount(value: float, advice: Advice) -> str:
    return units.duration(value) if advice.unit == "ms" else f"{value:,.0f}"


def _index_lines(each: IndexAdvice, advice: Advice) -> Iterable[str]:
    yield (
        f"  {units.size(each.size_bytes)}; saves {units.share(_part(each, advice))} of the workload's cost"
        f"{_graded(each)}"
    )
    yield from _wrapped(f"used by {few(each.queries)}", "  ")
    yield from _truth_of(each, advice.verified)
    yield from [f"  run as: {each.run_as}"] if each.run_as else []
    for name in each.makes_redundant:
        yield from _wrapped(f"makes {name} redundant", "  ")
    for caveat in each.caveats:
        yield from _wrapped(f"note: {caveat}", "  ")
    is_measured = any(
        i.index == each.index and i.bought_ms is not None
        for i in (advice.verified.indexes if advice.verified is not None else ())
    )
    for doubt in each.doubts:
        yield from _wrapped(f"{'note' if is_measured else 'not proven'}: {doubt}", "  ")
    if each.guesses and not is_measured:
        yield from _wrapped(f"not proven: {_guess(each.guesses)}", "  ")


def _guess(columns: tuple[str, ...]) -> str:
    return (
        f"how many rows match a range or pattern of {', '.join(columns)} depends on parameters, which are not known; the planner"
        " assumes a fixed share of the table (a third, or half a percent between two limits)"
    )


def _graded(each: IndexAdvice) -> str:
    if each.grade is None:
        return ""
    return f" (grade {each.grade}{', may be far off' if each.grade is Grade.C else ''})"


def _part(each: IndexAdvice, advice: Advice) -> float:
    """Return what an index saves, as a fraction of the present cost; the fractions of a set add up."""
    return max(each.cost_without - each.cost_with, 0.0) / max(advice.cost_before, 1e-9)


def _query_lines(advice: Advice) -> Iterable[str]:
    helped = [g for g in advice.per_query if g.indexes]
    if helped:
        yield "\nQueries, as predicted"
    for gain in helped:
        yield from _wrapped(
            f"{change(gain.cost_before, gain.cost_after):>8}  {gain.name}", "  ", " " * 10
        )
        call = _call(gain)
        yield from [f"            {call}"] if call else []
    yield from _named(
        "Queries without recommended indexes",
        ((r.query, r.reason) for r in advice.rejected if r.has_plan),
    )
    yield from _unplanned_lines(advice)


def _unplanned_lines(advice: Advice) -> Iterable[str]:
    """Say what could not be planned, and how much of the load that is: an index may help it, or not."""
    left = [r for r in advice.rejected if not r.has_plan]
    queries = sorted((r for r in left if not r.is_utility), key=lambda r: -(r.total_ms or 0.0))
    if queries:
        yield ""
        yield from _wrapped(
            f"{units.count(len(queries), 'query', 'queries')} not planned{_with_share(queries, advice)}: what"
            " indexes would do for them is not known"
        )
    for each in queries:
        part = "" if each.total_ms is None else f"{_share_of(each.total_ms, advice)} of the time; "
        yield from _wrapped(f"{each.query}: {part}{each.reason}", "  ")
    utilities = [r for r in left if r.is_utility]
    if utilities:
        are = "is" if len(utilities) == 1 else "are"
        yield ""
        yield from _wrapped(
            f"{units.count(len(utilities), 'utility command')} (such as CALL or REFRESH) {are} not planned"
            f"{_with_share(utilities, advice)}"
        )


def _with_share(some: Iterable[Rejected], advice: Advice) -> str:
    total = sum(r.total_ms or 0.0 for r in some)
    return f", with {_share_of(total, advice)} of the observed time" if total else ""


def _share_of(ms: float, advice: Advice) -> str:
    return units.share(ms / max(advice.cost_before, 1e-9))


def _call(gain: QueryGain) -> str:
    """Say what becomes of a call: its measured time, less what the planner saves of it, and its measured blocks and those of its new plan."""
    left = gain.call_ms_after
    if gain.call_ms is None or gain.calls is None or left is None:
        return ""
    text = f"a call {units.duration(gain.call_ms)} → about {units.duration(left)}"
    if gain.call_blocks and gain.blocks_after is not None:
        text += f", {gain.call_blocks:,.0f} → about {gain.blocks_after:,.0f} blocks"
    return f"{text}; {units.count(round(gain.calls), 'call')}"


def _truth_of(advice: IndexAdvice, found: Verified | None) -> Iterable[str]:
    for each in found.indexes if found is not None else ():
        if each.index == advice.index:
            gain = "not measured, since the queries that use it were not run: it is not proven"
            if each.bought_ms is not None and each.bought_ms <= 0:
                gain = "the queries that were run gain nothing by it: it is not proven"
            elif each.bought_ms is not None:
                gain = f"without it, the queries take {units.duration(each.bought_ms)} longer"
            yield from _wrapped(
                f"built on the copy: {units.size(each.size_bytes)} in {each.build_seconds:.1f} s; {gain}",
                "  ",
            )


def _truth_lines(found: Verified) -> Iterable[str]:
    clock = "CPU time" if found.clock == "cpu" else "elapsed time"
    share = change(found.before_ms, found.after_ms)
    yield ""
    yield from _wrapped(
        f"Verified on {found.copy}: {clock} {units.duration(found.before_ms)} →"
        f" {units.duration(found.after_ms)}{share and f' ({share})'}, best of {found.repetitions} runs"
    )
    changed = [q for q in found.queries if q.indexes or q.before_ms != q.after_ms]
    for q in changed:
        yield from _wrapped(f"{change(q.before_ms, q.after_ms):>8}  {q.name}", "  ", " " * 10)
        yield (
            f"            {units.duration(q.before_ms)} → {units.duration(q.after_ms)},"
            f" {q.before_buffers:,} → {q.after_buffers:,} blocks{_sets(q)}"
        )
        yield from (
            [f"            not like production, where a call touches {q.there_buffers:,.0f} blocks"]
            if not q.is_alike
            else []
        )
    # a query whose indexes were all rejected keeps its plan, too
    if same := found.unchanged + len(found.queries) - len(changed):
        words = "queries keep their plans" if same > 1 else "query keeps its plan"
        yield f"  {same} more {words}"
    yield from _named("Rejected", ((each.ddl, each.reason) for each in found.losers))
    yield from _named("Not run", ((r.query, r.reason) for r in found.not_run))
    for note in found.notes:
        yield from ("", *_wrapped(note))


def _sets(query: QueryTruth) -> str:
    if query.sets == 1:
        return ""
    worst = f", with one of them {query.worst:.1f} times as long" if query.worst > _HURT else ""
    return f"; {query.sets} sets of values{worst}"


def _named(title: str, lines: Iterable[tuple[str, str]]) -> Iterable[str]:
    found = [line for name, reason in lines for line in _wrapped(f"{name}: {reason}", "  ")]
    return [f"\n{title}", *found] if found else []


def _few_lines(lines: list[str]) -> Iterable[str]:
    """Yield the lines of a script; if there are many partitions, only enough to show the pattern."""
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"… {len(lines) - _MOST_LINES} more lines; use --format sql to print all"
