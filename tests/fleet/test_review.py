"""One review of many clusters: grouped, compared, and honest about who was not read."""

from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from pgwatch_wed.facts import Missing, Snapshot
from pgwatch_wed.findings import Severity, Standing
from pgwatch_wed.fleet.review import examples, recollection, review_metrics, review_text
from pgwatch_wed.fleet.review import review_words as words
from pgwatch_wed.fleet.review.reviewing import reviewed
from pgwatch_wed.fleet.review.reviews import SILENCE, Review
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history import store
from pgwatch_wed.history.schema import blobs, runs
from pgwatch_wed.rules import all_rules
from tests.fleet import story as story_rules
from tests.fleet.siblings import of_version, set_to
from tests.fleet.story import COPY, DAY, MONDAY, Change, Story, as_is, without_index


def review_of(story: Story, now: datetime, fleet_run_id: int | None = None) -> Review:
    with story.opened.reading() as connection:
        return reviewed(recollection.recollect(connection, fleet_run_id), now)


def issue_of(review: Review, rule: str) -> tuple[str, ...]:
    return next((i.members for i in review.issues if i.rule == rule), ())


def test_findings_of_a_rule_and_a_cause_are_one(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": as_is, "c": without_index(COPY)})
    review = review_of(story, MONDAY)
    issue = next(i for i in review.issues if i.rule == "index-duplicate")
    assert [(c.label, c.members) for c in issue.causes] == [("public.orders_copy", ("a", "b"))]
    assert words.where(issue, review) == "on 2 of 3 clusters"
    assert issue_of(review, "vacuum-disabled") == ("a", "b", "c")


def test_what_is_harmless_does_not_stand_under_what_is_critical(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        story_rules, "_RULES", [r for r in all_rules() if r.id == "config-dangerous"]
    )
    safe: Change = lambda snapshot: set_to(snapshot, "fsync", "on")  # noqa: E731
    no_sums: Change = lambda snapshot: set_to(snapshot, "data_checksums", "off")  # noqa: E731
    unsafe: Change = lambda snapshot: set_to(no_sums(snapshot), "fsync", "off")  # noqa: E731
    story.run(MONDAY, {"a": unsafe, "b": lambda s: safe(no_sums(s)), "c": safe})
    review = review_of(story, MONDAY)
    assert [(i.severity.value, i.members, [c.label for c in i.causes]) for i in review.issues] == [
        ("critical", ("a",), ["fsync"]),
        ("info", ("a", "b"), ["data_checksums"]),
    ]
    rule = 'pgwatch_wed_fleet_rule_clusters{rule="config-dangerous"} 2'
    assert rule in review_metrics.render(review)
    with story.opened.reading() as connection:
        found = recollection.recollect(connection)
        shown = examples.with_examples(connection, review, found).issues
    assert ["fsync" in str(i.example) for i in shown] == [True, False]


def test_an_object_that_is_less_severe_elsewhere_stays_in_one_piece(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": as_is})
    with story.opened.reading() as connection:
        found = recollection.recollect(connection)
    (first, second), title = found.clusters, "index-duplicate"
    assert second.run
    worse = {
        id_: replace(f, severity=Severity.CRITICAL) if f.rule == title else f
        for id_, f in second.run.findings.items()
    }
    second = replace(second, run=replace(second.run, findings=worse))
    review = reviewed(replace(found, clusters=(first, second)), MONDAY)
    (issue,) = (i for i in review.issues if i.rule == title)
    assert (issue.severity, len(issue.causes)) == (Severity.CRITICAL, 1)
    assert words.where(issue, review) == "on 2 of 2 clusters, info on 1 of them"


def test_what_changed_is_told_since_each_cluster_was_read_before(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": without_index(COPY), "c": as_is})
    story.run(MONDAY + DAY, {"a": without_index(COPY), "b": as_is, "c": as_is, "d": as_is})
    review = review_of(story, MONDAY + DAY)
    told = {(c.what, c.rule, c.members) for c in words.changes(review)}
    assert ("new", "index-duplicate", ("b",)) in told
    assert ("gone", "index-duplicate", ("a",)) in told
    assert not [c for c in told if "c" in c[2] or "d" in c[2]]
    assert words.first_visits(review) == ("d",)


def test_who_cannot_be_reached_keeps_its_findings_with_their_age(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": as_is})
    story.run(MONDAY + DAY, {"a": as_is, "b": VisitEnding.UNREACHABLE})
    later = MONDAY + 3 * DAY
    story.run(later, {"a": without_index(COPY), "b": VisitEnding.UNREACHABLE})
    review = review_of(story, later)
    assert issue_of(review, "index-duplicate") == ("b",)
    kept = [f for f in review.findings if f.member == "b" and f.rule != SILENCE]
    assert kept
    assert all(not f.is_current and f.last_seen == MONDAY for f in kept)
    silent = next(f for f in review.findings if f.rule == SILENCE)
    assert (silent.severity, silent.standing) == (Severity.WARNING, Standing.KNOWN)
    assert "not read since 2026-03-02 03:00 UTC: unreachable, no answer" in silent.title
    said = " ".join(review_text.text(review).split())
    assert "1 of 2 clusters was read, 1 was not." in said
    assert "last read 3 days ago (2026-03-02 03:00 UTC)" in said


def test_silence_is_new_then_critical_then_gone(story: Story) -> None:
    story.run(MONDAY, {"a": as_is})
    story.run(MONDAY + DAY, {"a": VisitEnding.REFUSED})
    (silent,) = (f for f in review_of(story, MONDAY + DAY).findings if f.rule == SILENCE)
    assert (silent.severity, silent.standing) == (Severity.WARNING, Standing.NEW)
    (silent,) = (f for f in review_of(story, MONDAY + 8 * DAY).findings if f.rule == SILENCE)
    assert silent.severity is Severity.CRITICAL
    story.run(MONDAY + 9 * DAY, {"a": as_is})
    review = review_of(story, MONDAY + 9 * DAY)
    assert [g.rule for g in review.gone] == [SILENCE]


def test_a_cluster_that_was_never_read_is_not_clear(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": VisitEnding.UNREACHABLE})
    review = review_of(story, MONDAY)
    assert issue_of(review, SILENCE) == ("b",)
    assert "never read" in words.silence(words.silences(review)[0], review)
    clear = next(i for i in review.issues if i.rule == "vacuum-disabled")
    assert clear.evaluated == 1
    assert words.where(clear, review) == "on 1 of 2 clusters; not evaluated on 1 other"


def test_the_verdict_on_one_cluster_that_was_not_read(story: Story) -> None:
    story.run(MONDAY, {"a": VisitEnding.REFUSED})
    said = words.verdict(review_of(story, MONDAY))
    assert said.startswith(
        "The cluster was not read. There is 1 warning finding on 1 of 1 cluster."
    )


def test_what_helps_is_said_with_whom_it_helps(story: Story) -> None:
    mend = {"mend": "check the host name"}
    story.run(
        MONDAY,
        {"a": as_is, "b": VisitEnding.UNREACHABLE, "c": VisitEnding.UNREACHABLE},
        b=mend,
        c=mend,
    )
    said = review_text.text(review_of(story, MONDAY))
    assert "To read them\n  b, c: check the host name\n" in said


def test_a_server_under_two_names_counts_once(story: Story) -> None:
    twice: dict[str, Change | VisitEnding | None] = {"a": as_is, "alias": VisitEnding.SKIPPED}
    story.run(MONDAY, twice, alias={"same_as": "a", "reason": ""})
    review = review_of(story, MONDAY)
    assert [(c.member, c.also) for c in review.clusters] == [("a", ("alias",))]


def test_an_unfinished_run_says_so(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": as_is})
    story.run(MONDAY + DAY, {"a": as_is, "b": None})
    review = review_of(story, MONDAY + DAY)
    assert "The run has not ended: 1 still have to be visited." in words.verdict(review)
    assert not issue_of(review, SILENCE)
    assert "b" in issue_of(review, "vacuum-disabled")


def test_an_earlier_run_can_be_reviewed_again(story: Story) -> None:
    first = story.run(MONDAY, {"a": as_is, "left": as_is})
    story.run(MONDAY + DAY, {"a": without_index(COPY)})
    assert "a" in issue_of(review_of(story, MONDAY + DAY, first.id), "index-duplicate")
    assert review_of(story, MONDAY + DAY).left == ("left",)


def test_what_differs_from_the_majority_of_the_group_is_drift(story: Story) -> None:
    def odd(s: Snapshot) -> Snapshot:
        return of_version(set_to(s, "work_mem", "65536"), "17.4")

    def locked(s: Snapshot) -> Snapshot:
        return replace(s, index_definitions=())

    names = {f"c{n}": as_is for n in range(6)}
    story.run(MONDAY, {**names, "c2": odd, "c3": without_index("orders_customer"), "c4": locked})
    review = review_of(story, MONDAY)
    said = [words.drift(d) for d in review.drifts]
    usual = review.clusters[0].version
    assert said == [
        f"PostgreSQL in group shops: {usual} on 5 of 6; 17.4 on c2",
        "setting work_mem in group shops: the default on 5 of 6; 64 MB on c2",
    ]


def test_an_index_that_most_siblings_have_is_missed_where_it_lacks(story: Story) -> None:
    names = {f"c{n}": without_index(COPY) for n in range(5)}

    def none(s: Snapshot) -> Snapshot:
        return without_index("orders_customer")(without_index(COPY)(s))

    story.run(MONDAY, {**names, "c3": none})
    review = review_of(story, MONDAY)
    assert [words.drift(d) for d in review.drifts] == [
        "index on public.orders btree (customer) in group shops: 4 have it, 1 lacks it: c3"
    ]


def test_equal_siblings_have_no_drift_and_groups_are_apart(story: Story) -> None:
    story.groups = {"d": "others", "e": "others"}
    story.run(MONDAY, dict.fromkeys("abc", as_is) | dict.fromkeys("de", without_index(COPY)))
    assert review_of(story, MONDAY).drifts == ()


def test_what_cannot_be_evaluated_now_is_not_gone(story: Story) -> None:
    def blind(s: Snapshot) -> Snapshot:
        lacking = {**s.missing, "indexes": Missing("the time was used up")}
        return replace(s, indexes=(), missing=lacking)

    story.run(MONDAY, {"a": as_is})
    story.run(MONDAY + DAY, {"a": blind})
    review = review_of(story, MONDAY + DAY)
    assert "index-duplicate" not in {g.rule for g in review.gone}
    kept = next(f for f in review.findings if f.rule == "index-duplicate")
    assert not kept.is_current
    assert kept.title.endswith("could not be evaluated since 2026-03-02")


def test_each_reason_why_a_rule_could_not_look_is_told_of_those_whose_it_is(story: Story) -> None:
    def without(why: str) -> Change:
        return lambda s: replace(s, indexes=(), missing={**s.missing, "indexes": Missing(why)})

    story.run(MONDAY, {"a": without("no right"), "b": without("no time"), "c": without("no right")})
    review = review_of(story, MONDAY)
    told = {
        reason: members
        for rule, reason, members in words.unevaluated(review)
        if rule == "index-duplicate"
    }
    assert told == {"indexes: no right": ("a", "c"), "indexes: no time": ("b",)}
    rows = [row for row in words.unevaluated(review, 1) if row[0] == "index-duplicate"]
    assert [row[2] for row in rows] == [("a", "c"), ("b",)]
    assert "other reasons" in rows[1][1]


def test_one_object_that_only_one_cluster_has_is_named(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": as_is, "c": set_off})
    issues = [i for i in review_of(story, MONDAY).issues if i.rule == "vacuum-disabled"]
    assert {(c.label, c.members) for i in issues for c in i.causes} == {
        ("public.orders", ("a", "b", "c")),
        ("autovacuum", ("c",)),
    }


def set_off(snapshot: Snapshot) -> Snapshot:
    """Switch autovacuum off for the whole server."""
    return set_to(snapshot, "autovacuum", "off")


def test_what_to_do_comes_before_who_was_not_read(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": VisitEnding.REFUSED})
    said = review_text.text(review_of(story, MONDAY))
    heads = ["What to do where", "Not read", "To read them", "Limits, the nearest first"]
    places = [said.index(f"\n{head}\n") for head in heads if f"\n{head}\n" in said]
    assert len(places) > 2
    assert places == sorted(places)


def test_findings_that_are_damaged_are_not_gone(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": as_is})
    story.run(MONDAY + DAY, {"a": as_is, "b": without_index(COPY)})
    with story.opened.writing() as connection:
        newest = sa.select(sa.func.max(runs.c.taken_at)).scalar_subquery()
        mine = sa.select(runs.c.findings).where(runs.c.taken_at == newest)
        assert connection.execute(mine).scalars().all()
        damaged = blobs.update().where(blobs.c.hash.in_(mine)).values(data=b"0", base=None)
        connection.execute(damaged)
    review = review_of(story, MONDAY + DAY)
    assert not review.gone
    kept = {(f.member, f.rule) for f in review.findings if not f.is_current}
    assert ("a", "index-duplicate") in kept


def test_who_is_skipped_is_told_after_a_week(story: Story) -> None:
    story.run(MONDAY, {"a": as_is})
    story.run(MONDAY + DAY, {"a": VisitEnding.SKIPPED})
    assert not issue_of(review_of(story, MONDAY + DAY), SILENCE)
    assert issue_of(review_of(story, MONDAY + 7 * DAY), SILENCE) == ("a",)


def test_a_history_on_a_server_tells_the_same(story: Story, db: str) -> None:
    def told(of: Story) -> list[object]:
        of.run(MONDAY, {"a": as_is, "b": without_index(COPY)})
        of.run(MONDAY + DAY, {"a": without_index(COPY), "b": VisitEnding.UNREACHABLE})
        review = review_of(of, MONDAY + DAY)
        return [words.verdict(review), words.changes(review), review.issues]

    opened = store.open_store(db)
    assert told(Story(opened, story.base)) == told(story)
    opened.close()


def test_two_fleets_of_a_history_are_compared_each_with_itself(story: Story) -> None:
    prod, part = {"sources": ["prod.toml"]}, {"sources": ["prod.toml", "--member a"]}
    story.run(MONDAY, {"a": as_is, "b": as_is, "left": as_is}, prod)
    story.run(MONDAY + DAY / 4, {"staging": as_is}, {"sources": ["staging.toml"]})
    story.run(MONDAY + DAY / 2, {"a": VisitEnding.UNREACHABLE}, part)
    story.run(MONDAY + DAY, {"a": VisitEnding.UNREACHABLE, "b": as_is}, prod)
    found = review_of(story, MONDAY + DAY)
    assert found.before is not None
    assert (found.before.began_at, found.left) == (MONDAY, ("left",))
    (silent,) = (f for f in found.findings if f.rule == SILENCE)
    assert silent.standing is Standing.KNOWN, "it was not read in the run over a part"
    of_part = review_of(story, MONDAY + DAY, 3)
    assert (of_part.before, of_part.left) == (None, ())
    assert review_of(story, MONDAY + DAY, 2).left == ()


def test_another_fleet_whose_sources_are_called_the_same_is_not_the_run_before(
    story: Story,
) -> None:
    story.run(MONDAY, {"a": as_is}, {"sources": ["-"]})
    story.run(MONDAY + DAY / 2, {"other": as_is}, {"sources": ["-"]})
    story.run(MONDAY + DAY, {"a": as_is}, {"sources": ["-"]})
    found = review_of(story, MONDAY + DAY)
    assert (found.before is not None and found.before.began_at, found.left) == (MONDAY, ())
