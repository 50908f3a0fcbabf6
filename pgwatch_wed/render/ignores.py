"""What was decided not to be reported, in words."""

from collections.abc import Iterator

from pgwatch_wed import units
from pgwatch_wed.findings import Report, UnusedIgnore

_FEW = 3


def ignored_sentences(
    report: Report, most: int | None = _FEW, rest: str = "the JSON report has them"
) -> Iterator[str]:
    """Say how many findings were ignored, and which entries of the configuration do nothing any more.

    ``most`` of these are named; ``rest`` tells where the others are.
    """
    if report.ignored:
        ignored = units.count(len(report.ignored), "finding")
        yield f"{ignored} ignored by the configuration, or acknowledged."
    if entries := report.unused_ignores:
        shown = entries[:most]
        more = (
            f"; and {len(entries) - len(shown):,} more ({rest})"
            if len(shown) < len(entries)
            else ""
        )
        said = "; ".join(map(_unused, shown))
        yield f"Unused entries in [[ignore]] of the configuration: {said}{more}."


def _unused(entry: UnusedIgnore) -> str:
    names = (("rule", entry.rule), ("object", entry.object), ("finding", entry.finding))
    given = " ".join(f'{key} = "{value}"' for key, value in names if value != "*")
    return f"{given} {f'expired on {entry.expired_on}' if entry.expired_on else 'matched nothing'}"
