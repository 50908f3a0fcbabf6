"""The formats of a fleet's review, and how one is made from the history."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from pgwatch_wed.fleet.review import recollection, review_json
from pgwatch_wed.fleet.review.recollection import Recollection
from pgwatch_wed.fleet.review.reviewing import reviewed
from pgwatch_wed.fleet.review.reviews import Review


@dataclass(frozen=True, slots=True)
class WholeReview:
    """A review, what it was made from, and the ``extra`` sections: headings with their sentences."""

    review: Review
    recollection: Recollection
    extra: Sequence[tuple[str, Sequence[str]]] = ()


@dataclass(frozen=True, slots=True)
class ReviewFormat:
    """A format: its file's suffix, and what renders it. ``is_piped``: it is also printed if it is the only format."""

    suffix: str
    render: Callable[[WholeReview], str | bytes]
    is_piped: bool = True


FORMATS: Mapping[str, ReviewFormat] = {
    "json": ReviewFormat(".json", lambda whole: review_json.render(whole.review)),
}
"""All but the text, which is printed."""


def whole_review(
    connection: sa.Connection, now: datetime, fleet_run_id: int | None = None
) -> WholeReview:
    """Return the review of a fleet run: of the last one as of ``now``, of another as of its end."""
    found = recollection.recollect(connection, fleet_run_id)
    is_last = fleet_run_id is None
    moment = now if is_last else found.run.ended_at or found.run.began_at
    return WholeReview(reviewed(found, moment), found)


def document(name: str, whole: WholeReview) -> bytes:
    """Render a format that is written to a file."""
    made = FORMATS[name].render(whole)
    return made if isinstance(made, bytes) else made.encode("utf-8", "replace")


def write_pages(connection: sa.Connection, whole: WholeReview, folder: Path) -> None:
    """Write the clusters' own reports beside the fleet's."""
