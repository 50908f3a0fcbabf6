"""db-analyze record: what past advice, forecasts and regressions came to."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from pgwatch_wed import config, units
from pgwatch_wed.facts import AdviceRecord
from pgwatch_wed.history import store, track_record
from pgwatch_wed.history.predictions import Ending
from pgwatch_wed.history.track_record import PredictionRecord, TrackRecord


@click.command()
@click.option("--history", "url", metavar="URL", help="The history to read.")
@click.option("--cluster", type=int, help="Only of this cluster (a number).")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def record(url: str | None, cluster: int | None, form: str) -> None:
    """Tell what past recommendations, forecasts and regressions came to.

    By rule and grade: how often something was advised, applied, and helped, had no effect or did harm; what
    was predicted and what was measured; and how many forecasts and regressions proved right.
    """
    opened = store.open_store(url or config.load(None).history, must_exist=True)
    with opened.reading() as connection:
        found = track_record.record(connection, cluster)
    opened.close()
    click.echo(_json(found) if form == "json" else "\n".join(_lines(found)))


def _json(found: TrackRecord) -> str:
    document = {
        "schema_version": 1,
        "advice": [asdict(a) for a in found.advice],
        "predictions": [
            {**asdict(p), "endings": dict(p.endings), "right_share": p.right_share}
            for p in found.predictions
        ],
    }
    return json.dumps(document, indent=2)


def _lines(found: TrackRecord) -> Iterator[str]:
    if not found.advice and not found.predictions:
        yield "Nothing has been advised or predicted yet: db-analyze run keeps the record."
        return
    if found.advice:
        yield _row("rule", "grade", "advised", "applied", "helped", "no eff.", "harmed", "open")
        for own in found.advice:
            yield _row(
                *(own.rule, own.grade, str(own.advised), str(own.applied), str(own.helped)),
                *(str(own.no_effect), str(own.harmed), str(own.open)),
            )
            yield from (f"    {note}" for note in _notes(own))
        yield ""
    for made in found.predictions:
        yield from _predicted(made)


def _row(rule: str, grade: str, *figures: str) -> str:
    # 80 columns
    return (
        f"{rule[:29]:<29} {grade:<5}"
        + "".join(f"{f:>8}" for f in figures[:5])
        + figures[5].rjust(5)
    )


def _notes(own: AdviceRecord) -> Iterator[str]:
    others = (
        (own.partly, "only in part"),
        (own.undone, "undone since"),
        (own.before, "there before the advice"),
        (own.not_followed, "not followed"),
    )
    said = [f"{what}: {n}" for n, what in others if n]
    if said:
        yield ", ".join(said)
    if own.predicted_ratio is not None and own.measured_ratio is not None:
        yield (
            f"time of the statements: predicted {_change(own.predicted_ratio)}, "
            f"measured {_change(own.measured_ratio)} (median of {own.compared})"
        )
    if own.predicted_ms_per_day is not None and own.measured_ms_per_day is not None:
        yield (
            f"per day: predicted {units.duration(own.predicted_ms_per_day)}, "
            f"measured {units.duration(own.measured_ms_per_day)}"
        )


def _change(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.0f}%"


def _predicted(made: PredictionRecord) -> Iterator[str]:
    words = {Ending.HELD: "held", Ending.MISSED: "missed"}
    ended = ", ".join(f"{n} {words.get(Ending(e), e)}" for e, n in made.endings)
    right = "" if made.right_share is None else f": {units.share(made.right_share)} right"
    yield f"{made.rule} ({made.kind}, grade {made.grade}): {units.count(made.made, 'prediction')}"
    yield f"    {', '.join(filter(None, (ended, f'{made.open} open' if made.open else '')))}{right}"
