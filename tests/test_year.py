"""A scripted year on real servers: each number in the history and each sentence of each report is checked.

``tests/year/script.py`` says what happens. A day takes a second; ``tests/year/stretch.py`` makes it a day.
"""

from pathlib import Path

import pytest

from pgwatch_wed.history import runs
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.standby import catch_up, standby_of
from tests.year import check, place
from tests.year.drive import Year, played
from tests.year.script import DAILY, EVENTS, EVENTS_ALONE, GROW, day_of
from tests.year.sentences import unexplained
from tests.year.stretch import stretched

pytestmark = pytest.mark.slow


@pytest.mark.container
@pytest.mark.pg("== 15")  # the oldest that is promised and can be upgraded in its image
def test_a_year_on_two_majors(every_pg: servers.Server, tmp_path: Path) -> None:
    if every_pg.spec.kind != "container":
        pytest.skip("pg_upgrade needs the old binaries in an image")
    with place.two_majors(every_pg.spec.image) as two:
        year = played(two, tmp_path)
    assert_true(year)
    # what the deploy dropped was advised and created again, without the columns to include
    assert check.outcomes(year, "index-missing") == [("partly applied", "helped")]
    bonds = {n: i.bond for n, i in check.intervals(year).items()}
    assert bonds[day_of("upgrade")] == "upgraded"


def test_a_fortnight_in_which_everything_happens_to_the_counters(tmp_path: Path) -> None:
    with place.wheel() as one:
        year = played(one, tmp_path, EVENTS_ALONE)
        assert_true(year)
        a_clone_is_not_merged(year, one)


def assert_true(year: Year) -> None:
    """Hold the history and the reports against the script."""
    found = check.intervals(year)
    assert found.keys() == set(range(1, year.last + 1))
    assert {n: i.reason for n, i in found.items() if i.reason} == {}
    stopped = {n for n, i in found.items() if i.bond == "restarted"}
    assert stopped == {day_of("clean restart"), day_of("immediate stop")}
    for text in (*DAILY, GROW):
        wrong = check.wrong_calls(year, text)
        # what is evicted before it is read is lost, and nothing else
        lost = {n for n, (told, _) in wrong.items() if told is None}
        assert wrong.keys() == lost <= {day_of("eviction")}, (text, wrong)
    assert list(unexplained(year)) == []
    assert check.wrong_timeline(year) == []
    assert check.wrong_forecasts(year) == []
    before_upgrade = min(year.last, day_of("upgrade") - 1)
    assert check.wrong_difference(year, 1, before_upgrade) == []
    assert check.wrong_difference(year, 7, 8) == []


def a_clone_is_not_merged(year: Year, one: place.Wheel) -> None:
    """A standby and what it becomes are servers of their own, and the original's series go on."""
    before = check.intervals(year)
    with standby_of(one.server) as follower:
        catch_up(one.server, follower)
        snapshot = stretched(collect(follower.dsn()), year.calendar)
    with year.store.writing() as connection:
        run, _ = runs.add(connection, runs.NewRun((snapshot,)))
        mine = {r.cluster_id for r in runs.listed(connection) if r.id in year.run_ids.values()}
    assert len(mine) == 1
    assert run.cluster_id not in mine
    year.live(year.last + 1)
    assert check.intervals(year).items() >= before.items()
    assert check.wrong_calls(year, GROW).keys() <= {day_of("eviction")}


def test_what_happens_to_counters_is_all_in_the_fortnight() -> None:
    late = {"deploy", "useless index", "good index", "harmful index", "purge", "upgrade"}
    assert {name for n, (name, _) in EVENTS.items() if n > EVENTS_ALONE} == late
