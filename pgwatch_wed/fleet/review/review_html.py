"""The review of a fleet as one HTML file: no network requests, everything escaped, and small however many clusters there are."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pgwatch_wed import assets
from pgwatch_wed.findings import Severity, Standing
from pgwatch_wed.fleet.review import cluster_pages
from pgwatch_wed.fleet.review import review_words as words
from pgwatch_wed.fleet.review.reviews import SILENCE, Review, ReviewedCluster, SharedCause
from pgwatch_wed.render import heading
from pgwatch_wed.render.html import environment, policy
from pgwatch_wed.render.impact_words import GRADES

FIRST = 10
_MOST_CAUSES = 8
_MOST_ROWS = 60
_MOST_LIMITS = 20
_LINKED = 8
_LINKS_BYTES, _NAMES_BYTES = 1_500_000, 800_000
_KINDS = {
    "version": "Versions",
    "setting": "Settings",
    "extension": "Extensions",
    "table": "Tables",
    "index": "Indexes",
}


@dataclass(frozen=True, slots=True)
class NamedClusters:
    """Clusters as the page names them: at once, after a click with links or without, or only counted."""

    linked: tuple[str, ...]
    said: str
    more: tuple[str, ...]
    plain: tuple[str, ...]
    rest: str


class NameRoom:
    """How many names the page still has room for."""

    def __init__(self) -> None:
        self._links, self._names = _LINKS_BYTES, _NAMES_BYTES

    def named(self, members: Sequence[str], linked: int = _LINKED) -> NamedClusters:
        """Divide clusters into those that are linked at once, named and counted."""
        shown, rest = tuple(members[:linked]), tuple(members[linked:])
        said = f"and {len(rest):,} more"
        size = sum(2 * len(name.encode("utf-8", "replace")) + 50 for name in rest)
        if size <= self._links:
            self._links -= size
            return NamedClusters(shown, said, rest, (), "")
        size = sum(len(name.encode("utf-8", "replace")) + 2 for name in rest)
        if size <= self._names:
            self._names -= size
            return NamedClusters(shown, said, (), rest, "")
        return NamedClusters(shown, said, (), (), "which the JSON report names")


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """A row of the table of all clusters."""

    level: str
    state: str
    numbers: tuple[int, ...]


def render(review: Review, extra: Sequence[tuple[str, Sequence[str]]] = ()) -> str:
    """Return the page; ``extra`` are further sections, each a heading and its sentences."""
    css = assets.text("reports", "templates", "report.css") + assets.text(
        "reports", "templates", "fleet.css"
    )
    js = assets.text("reports", "templates", "fleet.js")
    told = [(head, [s for s in sentences if s]) for head, sentences in extra]
    parts = [(c.member, words.lacking(c)) for c in review.read if c.lacking]
    departed = tuple(c.member for c in review.departed)
    changes, silent = words.changes(review), words.silences(review)
    has_changes = bool(changes or words.first_visits(review) or review.left)
    unevaluated = words.unevaluated(review)
    chapters = [
        ("issues", "What to do", bool(review.issues)),
        ("changes", "What changed", has_changes),
        ("coverage", "Not read", bool(silent or parts)),
        *((f"extra-{n}", head, bool(said)) for n, (head, said) in enumerate(told, 1)),
        ("limits", "Limits", True),
        ("drift", "Versions and drift", True),
        ("unknown", "Not evaluated", bool(unevaluated)),
        ("clusters", "All clusters", True),
    ]
    limits = review.limits[:_MOST_LIMITS]
    return (
        environment()
        .get_template("fleet.html.j2")
        .render(
            review=review,
            words=words,
            extra=told,
            chapters=[(id_, title) for id_, title, is_there in chapters if is_there],
            named=NameRoom().named,
            page=cluster_pages.address,
            titles=_titles,
            ids_of=_ids,
            first=FIRST,
            most_causes=_MOST_CAUSES,
            most_rows=_MOST_ROWS,
            severities=[(s, review.count(s)) for s in Severity],
            compared=_compared(review),
            changes=changes,
            first_read=words.first_visits(review),
            departed=departed,
            others_left=[name for name in review.left if name not in departed],
            silent=silent,
            parts=parts,
            limits=[(n, heading.cells(n.line)[:5]) for n in limits],
            limit_heads=heading.HEADINGS[:5],
            untold=words.untold(review),
            drift_kinds=[(_KINDS[k], d) for k, d in words.differing(review.drifts)],
            unevaluated=unevaluated,
            rows=[(c, _row(c)) for c in review.clusters],
            grades=GRADES,
            css=Markup(css),  # noqa: S704 - our own files
            js=Markup(js),  # noqa: S704 - our own file
            policy=policy(css, js),
        )
    )


def _compared(review: Review) -> list[tuple[str, int]]:
    if not any(c.compared_at for c in review.clusters):
        return []
    counts = [(s.value, review.standing(s)) for s in (Standing.NEW, Standing.WORSE)]
    return [*counts, ("gone", len(review.gone))]


def _ids(cause: SharedCause) -> dict[str, str]:
    """Return the finding to which a cluster's name leads."""
    first: dict[str, str] = {}
    for f in cause.findings:
        if f.rule != SILENCE:
            first.setdefault(f.member, f.id)
    return first


def _titles(cause: SharedCause) -> list[str]:
    return sorted({f.title for f in cause.findings})


def _row(own: ReviewedCluster) -> ClusterRow:
    counts = tuple(own.count(s) for s in Severity)
    moved = sum(f.standing in (Standing.NEW, Standing.WORSE) for f in own.findings)
    level = next((s.value for s, n in zip(Severity, counts, strict=True) if n), "")
    states = [s.value for s, n in zip(Severity, counts, strict=True) if n]
    states += ["changed"] if moved else []
    states += [] if own.is_current else ["unread"]
    return ClusterRow(level, " ".join(states), (*counts, moved, len(own.unknown)))
