"""The formats of a fleet's review, and how one is made from the history."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from pgwatch_wed.fleet.experiment.evidence import conclusions
from pgwatch_wed.fleet.experiment.experiments import Experiments
from pgwatch_wed.fleet.review import (
    cluster_pages,
    recollection,
    redacted_review,
    review_html,
    review_json,
    review_junit,
    review_metrics,
)
from pgwatch_wed.fleet.review.examples import with_examples
from pgwatch_wed.fleet.review.recollection import Recollection
from pgwatch_wed.fleet.review.regression_proof import RegressionProof
from pgwatch_wed.fleet.review.reviewing import SiblingsTell, reviewed
from pgwatch_wed.fleet.review.reviews import Review, ReviewedCluster
from pgwatch_wed.history.store import Store

_PAGES = 50
"""So many reports are read at once."""


@dataclass(frozen=True, slots=True)
class WholeReview:
    """A review, what it was made from, and what the clusters teach about each other.

    One that ``is_redacted`` has placeholders for names, unlike what it was made from.
    """

    review: Review
    recollection: Recollection
    taught: Experiments
    is_redacted: bool = False

    @property
    def extra(self) -> Sequence[tuple[str, Sequence[str]]]:
        """What they teach, as headings with sentences."""
        return (
            (
                "Slower on several clusters",
                [f"{r.title}. {r.told}" for r in self.taught.regressions],
            ),
            ("Advice with a record", [f"{r.told} {r.verdict}" for r in self.taught.records]),
        )


@dataclass(frozen=True, slots=True)
class ReviewFormat:
    """A format: its file's suffix, and what renders it. ``is_piped``: it is also printed if it is the only format."""

    suffix: str
    render: Callable[[WholeReview], str | bytes]
    is_piped: bool = True


FORMATS: Mapping[str, ReviewFormat] = {
    "html": ReviewFormat(
        ".html", lambda whole: review_html.render(whole.review, whole.extra), is_piped=False
    ),
    "json": ReviewFormat(
        ".json", lambda whole: review_json.render(whole.review, asdict(whole.taught))
    ),
    "junit": ReviewFormat(".xml", lambda whole: review_junit.render(whole.review)),
    "metrics": ReviewFormat(".prom", lambda whole: review_metrics.render(whole.review)),
}
"""All but the text, which is printed."""


def whole_review(
    connection: sa.Connection, now: datetime, fleet_run_id: int | None = None
) -> WholeReview:
    """Return the review of a fleet run: of the last one as of ``now``, of another as of its end."""
    found = recollection.recollect(connection, fleet_run_id)
    is_last = fleet_run_id is None
    moment = now if is_last else found.run.ended_at or found.run.began_at
    known = {c.visit.member: c.traits for c in found.clusters if c.is_current and c.traits}
    unread = {
        c.visit.member: (c.run.cluster_id, c.traits)
        for c in found.clusters
        if c.run and c.traits and not c.is_current
    }
    taught = conclusions(connection, found.run, known, unread)
    review = reviewed(found, moment, _told(taught), RegressionProof.of(taught))
    return WholeReview(with_examples(connection, review, found), found, taught)


def _told(taught: Experiments) -> dict[tuple[int, str], SiblingsTell]:
    return {
        (own.cluster_id, own.finding_id): SiblingsTell(
            own.fleet_grade, own.weight, f"{record.told}{own.doubt and f' Here, {own.doubt}.'}"
        )
        for record in taught.records
        for own in record.open_on
        if own.weight is not None
    }


def redacted(whole: WholeReview, allowed: Iterable[str]) -> WholeReview:
    """Return the same with placeholders for names, without what is made of statements."""
    review = redacted_review.redacted(whole.review, allowed)
    return replace(whole, review=review, taught=Experiments(), is_redacted=True)


def document(name: str, whole: WholeReview) -> bytes:
    """Render a format that is written to a file."""
    made = FORMATS[name].render(whole)
    return made if isinstance(made, bytes) else made.encode("utf-8", "replace")


def pages(opened: Store, whole: WholeReview) -> Iterator[tuple[str, str]]:
    """Yield the clusters' own reports, as names of files and their text; nobody who writes to the history waits for that."""
    if whole.is_redacted:
        for each in (*whole.review.clusters, *whole.review.departed):
            yield _page(each, whole, redacted_review.document(each) if each.seen_at else None)
        return
    waiting = {c.member: c for c in (*whole.review.clusters, *whole.review.departed)}
    known = (*whole.recollection.clusters, *whole.recollection.departed)
    for part in (known[i : i + _PAGES] for i in range(0, len(known), _PAGES)):
        with opened.reading() as connection:
            reports = list(recollection.documents(connection, part))
        for member, report in reports:
            own = waiting.pop(member, None)
            if own is not None:
                yield _page(own, whole, report)
    for own in waiting.values():
        yield _page(own, whole, None)


def _page(own: ReviewedCluster, whole: WholeReview, report: bytes | None) -> tuple[str, str]:
    page = cluster_pages.render(own, whole.review, report)
    return cluster_pages.file_name(own.member), page
