"""The review of a fleet for a terminal: the verdict, what to do where, what changed, and who was not seen."""

from collections.abc import Sequence

from pgwatch_wed import units
from pgwatch_wed.findings import Severity
from pgwatch_wed.fleet.review import review_words as words
from pgwatch_wed.fleet.review.reviews import FleetIssue, Review
from pgwatch_wed.render.text_page import TextPage

_COLOURS = {Severity.CRITICAL: "1;31", Severity.WARNING: "1;33", Severity.INFO: "1;36"}
_ISSUES = 10
_CAUSES = 3
_FEW = 10


def text(
    review: Review,
    extra: Sequence[tuple[str, Sequence[str]]] = (),
    *,
    width: int = 80,
    colour: bool = False,
    verbose: bool = False,
) -> str:
    """Render the review; ``extra`` are further sections, each a heading and its sentences."""
    page = TextPage(width, colour=colour)
    page.wrap(f"Fleet of {units.count(len(review.clusters), 'cluster')}", style="1")
    page.wrap(f"run {review.run.id} of {review.run.began_at:%Y-%m-%d %H:%M} UTC")
    page.wrap(words.verdict(review))
    page.line()
    _issues(page, review, verbose=verbose)
    _section(page, "What changed since the visit before", _changes(review), verbose=verbose)
    _coverage(page, review, verbose=verbose)
    for head, sentences in extra:
        _section(page, head, sentences, verbose=verbose)
    near = [words.limit(each) for each in review.limits]
    _section(page, "Limits, the nearest first", [*near, words.untold(review)], verbose=verbose)
    _section(page, "Versions", [words.version(v) for v in review.versions], verbose=verbose)
    for kind, drifts in words.differing(review.drifts):
        head = f"Unlike most of their group: {_KINDS[kind]}"
        _section(page, head, [words.drift(d) for d in drifts], verbose=verbose)
    if verbose:
        head = "No more than chance in so many clusters, and so not counted"
        _section(page, head, words.by_chance(review), verbose=True)
    _unevaluated(page, review, verbose=verbose)
    if not review.issues and not review.unread:
        page.wrap("Nothing to do.", style="1")
    return str(page)


_KINDS = {
    "version": "versions",
    "setting": "settings",
    "extension": "extensions",
    "table": "tables",
    "index": "indexes",
}


def _section(page: TextPage, head: str, sentences: Sequence[str], *, verbose: bool) -> None:
    said = [each for each in sentences if each]
    if not said:
        return
    page.line(head, "1")
    shown = said if verbose else said[:_FEW]
    for each in shown:
        page.wrap(each, "  ", hang="    ")
    if len(shown) < len(said):
        page.line(f"  and {len(said) - len(shown):,} more (-v shows them)")
    page.line()


def _coverage(page: TextPage, review: Review, *, verbose: bool) -> None:
    silent = [f"{c.member}: {words.silence(c, review)}" for c in words.silences(review)]
    _section(page, "Not read", silent, verbose=verbose)
    _section(page, "To read them", _mends(review), verbose=verbose)
    parts = [f"{c.member}: {words.lacking(c)}" for c in review.read if c.lacking]
    _section(page, "Read in part", parts, verbose=verbose)
    if review.left:
        left = f"no longer in the inventory: {words.names(review.left)}"
        _section(page, "Left", [left], verbose=verbose)


def _mends(review: Review) -> list[str]:
    """Say what helps, and whom; once for all whom the same helps."""
    found: dict[str, list[str]] = {}
    for each in words.silences(review):
        if each.mend:
            found.setdefault(each.mend, []).append(each.member)
    return [f"{words.names(members)}: {mend}" for mend, members in found.items()]


def _issues(page: TextPage, review: Review, *, verbose: bool) -> None:
    if not review.issues:
        return
    page.line("What to do where", "1")
    shown = review.issues if verbose else review.issues[:_ISSUES]
    for place, issue in enumerate(shown, 1):
        _issue(page, place, issue, review, verbose=verbose)
    if len(shown) < len(review.issues):
        page.line(f"  and {len(review.issues) - len(shown):,} more (-v shows them)")
    page.line()


def _issue(page: TextPage, place: int, issue: FleetIssue, review: Review, *, verbose: bool) -> None:
    mark = page.paint(issue.severity.value.upper(), _COLOURS[issue.severity])
    stands = words.stands(issue)
    page.line(f"{place}. {mark} {issue.grades}  {issue.rule}")
    page.wrap(f"{words.title(issue)}, {words.where(issue, review)}", "   ", "1")
    facts = "; ".join(filter(None, (words.gain(issue), stands)))
    if facts:
        page.wrap(facts, "   ")
    if issue.example and issue.example.sql:
        page.wrap(f"what to do, on {issue.example.member}:", "   ")
        page.code(issue.example.sql[0], "     ")
    causes = issue.causes if verbose else issue.causes[:_CAUSES]
    for own in causes:
        page.wrap(words.cause(own, review), "   ", hang="     ")
    if len(causes) < len(issue.causes):
        page.line(f"   and {len(issue.causes) - len(causes):,} other causes (-v shows them)")


def _changes(review: Review) -> list[str]:
    said = [
        f"{c.what}: {c.title} ({c.rule}), on {words.names(c.members)}{c.was and f'; {c.was}'}"
        for c in words.changes(review)
    ]
    first = words.first_visits(review)
    return [*said, *((f"read for the first time: {words.names(first)}",) if first else ())]


def _unevaluated(page: TextPage, review: Review, *, verbose: bool) -> None:
    said = [
        f"{rule}, {words.on(members, len(review.clusters))}: {reason}"
        for rule, reason, members in words.unevaluated(review)
    ]
    _section(page, "Not evaluated", said, verbose=verbose)
