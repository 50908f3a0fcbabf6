"""db-analyze why: the dated timeline of what changed around a query or a table, and what did not."""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pgwatch_wed import clock, config, units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.history import store, subject
from pgwatch_wed.history.timelines import Timeline, TimelineEvent, timeline
from pgwatch_wed.history.work_rows import StatementInterval
from pgwatch_wed.render.characters import visible_line

_WIDTH = 80
_INTERVALS = 12


@click.command()
@click.argument("topic", metavar="QUERY|TABLE")
@click.option(
    "--since", "since_text", metavar="DATE", help="Begin here, for example 2026-03-01 or 30d."
)
@click.option("--history", "url", metavar="URL", help="The history to read.")
@click.option("--database", metavar="NAME", help="If several have what is asked for.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def why(
    topic: str, since_text: str | None, url: str | None, database: str | None, form: str
) -> None:
    """Tell what changed around QUERY or TABLE, when, and what did not.

    QUERY is a query id, the id of a finding, or a part of a statement's text; TABLE is [schema.]name, also a former
    one. What happened between two runs is dated by both.
    """
    opened = store.open_store(url or config.load(None).history, must_exist=True)
    with opened.reading() as connection:
        about = subject.find(connection, topic, database)
        found = timeline(connection, about, _since(since_text))
    opened.close()
    click.echo(_json(found) if form == "json" else "\n".join(_lines(found)))


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return clock.now() - _span(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _span(text: str) -> timedelta:
    try:
        return units.read_span(text)
    except ValueError:
        hint = "give a date such as 2026-03-01, or a time such as 30d"
        raise UsageError(f"--since {text!r} is neither a date nor a time", hint) from None


def _json(found: Timeline) -> str:
    document: dict[str, Any] = {
        "schema_version": 1,
        "topic": found.label,
        "begins": _when(found.begins),
        "ends": _when(found.ends),
        "runs": found.runs,
        "events": [
            {**asdict(e), "at": _when(e.at), "began_at": _when(e.began_at)} for e in found.events
        ],
        "unchanged": list(found.unchanged),
        "not_known": list(found.not_known),
        "intervals": [
            {
                "began_at": _when(w.began_at),
                "ended_at": _when(w.ended_at),
                "calls": w.calls,
                "mean_ms": round(w.mean_ms, 4),
                "blocks_per_call": round(w.blocks / w.calls, 2),
                "rows_per_call": round(w.rows / w.calls, 2),
            }
            for w in found.work
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _when(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _lines(found: Timeline) -> Iterator[str]:
    yield from _wrapped(found.label, "")
    if found.begins is None or found.ends is None:
        yield "There are no runs in this time."
        return
    yield f"{found.begins:%Y-%m-%d %H:%M} to {found.ends:%Y-%m-%d %H:%M} UTC, {units.count(found.runs, 'run')}"
    yield ""
    if not found.events:
        yield "Nothing changed." if found.runs > 1 else "One run alone tells of no change."
    for event in found.events:
        yield from _event(event)
    if found.work:
        yield ""
        yield from _work(found.work)
    if found.unchanged:
        yield ""
        yield from _wrapped(f"Did not change: {', '.join(found.unchanged)}.", "  ")
    for note in found.not_known:
        yield from _wrapped(f"Not known: {note}", "  ")


def _event(event: TimelineEvent) -> Iterator[str]:
    text = f"{_moment(event)}  {event.kind}: {event.text}"
    yield from _wrapped(text, "    ")


def _moment(event: TimelineEvent) -> str:
    if event.began_at is None:
        return f"{event.at:%Y-%m-%d %H:%M}"
    is_same_day = event.began_at.date() == event.at.date()
    end = f"{event.at:%H:%M}" if is_same_day else f"{event.at:%Y-%m-%d %H:%M}"
    begin = f"{event.began_at:%Y-%m-%d %H:%M}"
    return begin if begin.endswith(end) else f"{begin}–{end}"


def _work(work: tuple[StatementInterval, ...]) -> Iterator[str]:
    yield f"{'until':<16} {'calls':>10} {'time a call':>14} {'blocks a call':>15} {'rows a call':>13}"
    for w in work[-_INTERVALS:]:
        blocks, rows = units.short(w.blocks / w.calls), units.short(w.rows / w.calls)
        yield f"{w.ended_at:%Y-%m-%d %H:%M} {w.calls:>10,} {units.duration(w.mean_ms):>14} {blocks:>15} {rows:>13}"


def _wrapped(text: str, hang: str) -> Iterator[str]:
    yield from textwrap.wrap(
        visible_line(text), _WIDTH, subsequent_indent=hang, break_on_hyphens=False
    )
