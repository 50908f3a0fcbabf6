"""The log of a fleet's visits: each cluster has one visit, whatever happens to the processes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MEMBERS = (Member("shop", ("host=a",), group="shops", tags={"env": "prod"}), Member("crm", ()))


@pytest.fixture(params=("file", "server"))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> store.Store:
    if request.param == "file":
        return store.open_store(str(tmp_path / "history.sqlite3"))
    return store.open_store(request.getfixturevalue("db"))


def test_one_of_two_workers_has_a_visit_until_it_is_lost(opened: store.Store) -> None:
    with opened.writing() as connection:
        run = visit_log.begin(connection, MEMBERS, NOON, {"shard": "1/1"})
        assert visit_log.claim(connection, run.id, "shop", "one", NOON)
        assert not visit_log.claim(connection, run.id, "shop", "two", NOON)
        later = NOON + visit_log.LOST_AFTER + timedelta(seconds=1)
        assert visit_log.claim(connection, run.id, "shop", "two", later)
        assert not visit_log.beat(connection, run.id, "shop", "one", later)
        late = Visit(run.id, "shop", worker="one", ending=VisitEnding.DONE, ended_at=later)
        assert not visit_log.end(connection, late)


def test_a_run_has_ended_when_its_last_visit_has(opened: store.Store) -> None:
    with opened.writing() as connection:
        run = visit_log.begin(connection, MEMBERS, NOON, {})
        assert visit_log.claim(connection, run.id, "shop", "one", NOON)
        done = Visit(
            run.id, "shop", worker="one", ending=VisitEnding.DONE, ended_at=NOON, attempts=1
        )
        assert visit_log.end(connection, done)
        assert not visit_log.end(connection, done)
        assert visit_log.runs_of_fleet(connection) == (run,)
        skipped = Visit(run.id, "crm", ending=VisitEnding.SKIPPED, reason="disabled", ended_at=NOON)
        assert visit_log.end(connection, skipped)
        assert visit_log.runs_of_fleet(connection)[0].ended_at == NOON
        crm, shop = visit_log.visits(connection, run.id)
    assert (shop.group, shop.tags, shop.ending) == ("shops", {"env": "prod"}, VisitEnding.DONE)
    assert (crm.ending, crm.reason) == (VisitEnding.SKIPPED, "disabled")
