"""What is planted in a fleet of thirty is told from its history, and nothing else."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_wed.facts import Missing, Snapshot
from pgwatch_wed.fleet.experiment.clues import Clues, clues_of
from pgwatch_wed.fleet.review import review_formats, review_text
from pgwatch_wed.fleet.review import review_words as words
from pgwatch_wed.fleet.review.review_formats import whole_review
from pgwatch_wed.history import store
from pgwatch_wed.sqltext.statement_link import statement_key
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.fleet.siblings import (
    OTHER,
    SCHEMA,
    SLOW,
    Change,
    Siblings,
    judged,
    labels,
    of_version,
    set_to,
)
from tests.psql import psql


@pytest.fixture(scope="module")
def base(server_pool: servers.Pool) -> Iterator[Snapshot]:
    with server_pool.get(servers.embedded_spec()).database() as dsn:
        psql(dsn, SCHEMA)
        yield collect(dsn)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[store.Store]:
    made = store.open_store(str(tmp_path / "history.sqlite3"))
    yield made
    made.close()


def test_a_release_a_setting_and_nothing_else_are_told(base: Snapshot, opened: store.Store) -> None:
    def planted(n: int, own: Snapshot) -> Snapshot:
        own = of_version(own, "18.2" if n < 8 else "18.1")
        if n in (3, 11, 12, 20, 29):
            own = set_to(own, "random_page_cost", "40")
        slow = "regressed" if n < 8 else "steady"
        other = "regressed" if n in (3, 11, 12, 20, 29) else "steady"
        return judged(own, {SLOW: slow, OTHER: other})

    fleet = Siblings(opened, base, 30)
    found = fleet.taught(fleet.visited(base.now, planted))
    assert labels(found) == [["PostgreSQL 18.2"], ["random_page_cost = 40"]]
    release, setting = found.regressions
    assert release.texts == (SLOW,)
    assert release.title == f"{SLOW} is slower on 8 of 30 clusters since {base.now:%Y-%m-%d}"
    assert "All 8 run PostgreSQL 18.2, none of the 22 others" in release.told
    assert "All 5 have random_page_cost = 40, none of the 25 others" in setting.told
    assert {s.member for s in release.slower} == {f"c{n}" for n in range(8)}
    assert all(
        s.finding_id and s.cluster_id == fleet.ids[int(s.member[1:])] for s in release.slower
    )


def test_of_a_fleet_in_which_nothing_is_planted_nothing_is_said(
    base: Snapshot, opened: store.Store
) -> None:
    def usual(n: int, own: Snapshot) -> Snapshot:
        own = of_version(own, "18.2" if n % 4 else "18.1")
        return judged(own, {SLOW: "steady", OTHER: "regressed" if n == 9 else "steady"})

    fleet = Siblings(opened, base, 12)
    found = fleet.taught(fleet.visited(base.now, usual))
    assert found.regressions == ()


def test_an_index_that_some_lack_is_told(base: Snapshot, opened: store.Store) -> None:
    def planted(n: int, own: Snapshot) -> Snapshot:
        if n < 4:
            gone = next(i.oid for i in own.indexes if i.name == "orders_customer")
            own = replace(own, indexes=tuple(i for i in own.indexes if i.oid != gone))
        return judged(own, {SLOW: "regressed" if n < 4 else "steady"})

    fleet = Siblings(opened, base, 11)
    found = fleet.taught(fleet.visited(base.now, planted))
    assert labels(found) == [["no index on public.orders btree (customer)"]]


def test_clusters_that_were_not_read_or_do_not_run_it_are_no_controls(
    base: Snapshot, opened: store.Store
) -> None:
    def planted(n: int, own: Snapshot) -> Snapshot:
        own = of_version(own, "18.2" if n < 3 else "18.1")
        outcomes = {OTHER: "steady", SLOW: "regressed" if n < 3 else "grown"}
        return judged(own, outcomes if n < 6 else {OTHER: "steady"})

    fleet = Siblings(opened, base, 12, unread=frozenset((10, 11)))
    found = fleet.taught(fleet.visited(base.now, planted))
    (only,) = found.regressions
    assert only.others == ()
    assert sorted(only.not_compared.values()) == [
        *["does not run it, or too rarely to be judged"] * 4,
        *["handles more rows a call"] * 3,
        *["not read in this run"] * 2,
    ]
    assert found.lacking == {"c10": "not read in this run", "c11": "not read in this run"}


def test_a_regression_of_last_week_counts_until_it_is_mended(
    base: Snapshot, opened: store.Store
) -> None:
    def first(n: int, own: Snapshot) -> Snapshot:
        own = of_version(own, "18.2" if n < 4 else "18.1")
        return judged(own, {SLOW: "regressed" if n < 4 else "steady"})

    def later(n: int, own: Snapshot) -> Snapshot:
        own = judged(
            of_version(own, "18.2" if n < 7 else "18.1"),
            {SLOW: "regressed" if 4 <= n < 7 else "steady"},
        )
        (shift,) = own.statement_shifts
        if n in (1, 2, 3):  # as slow as when it was reported
            own = replace(own, statement_shifts=(replace(shift, ms_after=3.0),))
        return own

    fleet = Siblings(opened, base, 12)
    fleet.visited(base.now - timedelta(days=5), first)
    (found,) = fleet.taught(fleet.visited(base.now, later)).regressions
    assert sorted(s.member for s in found.slower) == ["c1", "c2", "c3", "c4", "c5", "c6"]
    assert found.not_compared == {"c0": "was slower, and no longer is"}
    assert [a.label for a in found.associations[0].attributes] == ["PostgreSQL 18.2"]
    assert "on the first since" in found.title
    assert found.texts == (SLOW,)


def test_what_was_there_long_before_is_told_apart_from_what_was_new(
    base: Snapshot, opened: store.Store
) -> None:
    def before(n: int, own: Snapshot) -> Snapshot:
        own = set_to(own, "random_page_cost", "40") if n < 4 else own
        return judged(of_version(own, "18.1"), {SLOW: "steady"})

    def after(n: int, own: Snapshot) -> Snapshot:
        own = set_to(own, "random_page_cost", "40") if n < 4 else own
        own = of_version(own, "18.2" if n < 4 else "18.1")
        return judged(own, {SLOW: "regressed" if n < 4 else "steady"})

    fleet = Siblings(opened, base, 10)
    fleet.visited(base.now - timedelta(days=5), before)
    (found,) = fleet.taught(fleet.visited(base.now, after)).regressions
    (one,) = found.associations
    assert [a.label for a in one.attributes] == ["PostgreSQL 18.2", "random_page_cost = 40"]
    assert (one.dated, one.new_on) == (4, (4, 0))
    assert (
        "When calls became slower, PostgreSQL 18.2 was new on 4 of 4 clusters, random_page_cost = 40 on 0."
        in found.told
    )


def test_servers_that_are_slower_as_a_whole_are_one_finding(
    base: Snapshot, opened: store.Store
) -> None:
    def planted(n: int, own: Snapshot) -> Snapshot:
        own = judged(own, {SLOW: "server" if n < 4 else "steady"})
        (shift,) = own.statement_shifts
        slower = replace(shift, is_server_slower=n < 4, server_ratio=1.6 if n < 4 else 1.0)
        return replace(own, statement_shifts=(slower,))

    fleet = Siblings(opened, base, 10, tags=lambda n: {"hw": "old" if n < 4 else "new"})
    found = fleet.taught(fleet.visited(base.now, planted))
    assert labels(found) == [["tag hw=old"]]
    (one,) = found.regressions
    assert (
        one.title
        == f"The server as a whole is slower on 4 of 10 clusters since {base.now:%Y-%m-%d}"
    )
    assert all(s.finding_id for s in one.slower)


def test_several_databases_of_a_cluster_count_once_and_the_slowest_counts(base: Snapshot) -> None:
    other = replace(base, server=replace(base.server, database="another"))
    both = (judged(base, {SLOW: "steady"}), judged(other, {SLOW: "regressed"}))
    key = statement_key("", SLOW)
    for order in (both, both[::-1]):
        clue = clues_of(order).statements[key]
        assert (clue.outcome, clue.database, clue.text) == ("regressed", "another", SLOW)
    assert Clues.of_json(json.loads(json.dumps(clues_of(both).to_json()))) == clues_of(both)


def test_a_database_without_a_history_tells_why(base: Snapshot) -> None:
    assert clues_of((base,)).unknown == {base.server.database: "its history was not read"}
    first = replace(base, missing={"statement_shifts": Missing("this is the first run")})
    assert clues_of((first,)).unknown == {base.server.database: "this is the first run"}


def test_a_cluster_on_which_it_takes_too_little_time_to_be_judged_is_a_control(
    base: Snapshot, opened: store.Store
) -> None:
    before = next(s for s in base.statements if s.text == SLOW)
    spent = [0.0, 0.0, 0.0]

    def on(day: int) -> Change:
        def change(n: int, own: Snapshot) -> Snapshot:
            # of 6 s a day, nothing is said of one cluster; of a minute, it is
            spent[n] += 60 * (1000.0 if day > 9 and n < 2 else 100.0)
            mean = spent[n] / (60 * (day + 1))
            row = replace(
                before,
                calls=60 * (day + 1),
                rows=60 * (day + 1),
                total_exec_ms=spent[n],
                mean_exec_ms=mean,
                stddev_exec_ms=mean / 10,
                min_exec_ms=1.0,
                max_exec_ms=9000.0,
            )
            return replace(own, statements=(row,))

        return change

    fleet = Siblings(opened, base, 3, recalls=True)
    for day in range(13):
        run = fleet.visited(base.now + timedelta(days=day), on(day))
    (found,) = fleet.taught(run).regressions
    assert {s.member for s in found.slower} == {"c0", "c1"}
    assert (found.others, dict(found.not_compared)) == (("c2",), {})


def test_what_chance_makes_slower_is_in_its_own_report_only(
    base: Snapshot, opened: store.Store
) -> None:
    def by_chance(*slower: int) -> Change:
        def change(n: int, own: Snapshot) -> Snapshot:
            own = judged(own, {SLOW: "regressed" if n in slower else "steady", OTHER: "steady"})
            shifts = (
                replace(s, grade="C", p_value=0.004, ratio=1.4) if s.is_regressed else s
                for s in own.statement_shifts
            )
            return replace(own, statement_shifts=tuple(shifts))

        return change

    fleet = Siblings(opened, base, 6, unread=frozenset())
    for day, slower in enumerate(((), (1, 2), (2,))):
        fleet.visited(base.now + timedelta(days=day), by_chance(*slower))
        with opened.reading() as connection:
            whole = whole_review(connection, base.now + timedelta(days=day))
        assert whole.taught.regressions == ()
        assert [i for i in whole.review.issues if i.rule == "query-regression"] == []
        assert words.changes(whole.review) == ()
        assert [s.member for s in whole.taught.by_chance] == [f"c{n}" for n in slower]
        own = {c.member: [f.title for f in c.by_chance] for c in whole.review.clusters}
        assert {member for member, titles in own.items() if titles} == {f"c{n}" for n in slower}
    pages = dict(review_formats.pages(opened, whole))
    assert "The report of the fleet does not count this" in pages["c2.html"]
    assert "The report of the fleet does not count this" not in pages["c1.html"]
    assert "so not counted" in review_text.text(whole.review, verbose=True)
    assert "so not counted" not in review_text.text(whole.review)

    # of a cluster that is no longer read, and then of one that reads more blocks since
    fleet.unread = frozenset((2,))
    fleet.visited(base.now + timedelta(days=3), by_chance(2))
    with opened.reading() as connection:
        whole = whole_review(connection, base.now + timedelta(days=3))
    assert [i.rule for i in whole.review.issues] == ["fleet-silence"]
    fleet.unread = frozenset()
    proven = lambda n, own: judged(own, {SLOW: "regressed" if n == 2 else "steady"})  # noqa: E731
    fleet.visited(base.now + timedelta(days=4), proven)
    with opened.reading() as connection:
        whole = whole_review(connection, base.now + timedelta(days=4))
    (change,) = (c for c in words.changes(whole.review) if c.rule == "query-regression")
    assert (change.what, change.members) == ("new", ("c2",))


def test_a_little_slower_with_a_cause_in_common_counts_and_is_new_once(
    base: Snapshot, opened: store.Store
) -> None:
    def planted(n: int, own: Snapshot) -> Snapshot:
        own = judged(of_version(own, "18.2" if n < 4 else "18.1"), {SLOW: "steady"})
        if n < 4:
            own = judged(own, {SLOW: "regressed"})
            (shift,) = own.statement_shifts
            weak = replace(shift, grade="C", p_value=0.004, ratio=1.4)
            own = replace(own, statement_shifts=(weak,))
        return own

    fleet = Siblings(opened, base, 12)
    fleet.visited(base.now - timedelta(days=1), lambda _, own: judged(own, {SLOW: "steady"}))
    told = []
    for day in range(2):
        fleet.visited(base.now + timedelta(days=day), planted)
        with opened.reading() as connection:
            whole = whole_review(connection, base.now + timedelta(days=day))
        (issue,) = (i for i in whole.review.issues if i.rule == "query-regression")
        assert issue.members == tuple(f"c{n}" for n in range(4))
        told.append([c.what for c in words.changes(whole.review) if c.rule == "query-regression"])
    assert told == [["new"], []]
