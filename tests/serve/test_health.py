"""/api/health: what is said of each component, how old it may be, and what follows from what."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pgwatch_wed.app import breakers
from pgwatch_wed.app.breakers import Breaker
from pgwatch_wed.serve.http import components
from pgwatch_wed.serve.state import Board, Collected, Health, Reason
from tests.serve.states import NOW, Client, board, probe


def asked(over: Board, path: str = "/api/health", now: float = NOW) -> tuple[int, dict[str, Any]]:
    async def ask() -> tuple[int, dict[str, Any]]:
        async with Client(over, now=lambda: now) as client:
            answer = await client.get(path)
            assert answer.headers["content-type"] == "application/health+json"
            return answer.status_code, answer.json()

    return asyncio.run(ask())


def test_what_passes_or_warns_is_200_and_what_fails_is_503() -> None:
    assert asked(board([probe("database")]))[0] == 200
    assert asked(board([probe("database", Health.WARN)]))[0] == 200
    assert asked(board([probe("database", Health.FAIL)]))[0] == 503
    assert asked(board([probe("database", Health.UNKNOWN)]))[0] == 503


def test_what_is_not_essential_makes_the_whole_a_warning() -> None:
    over = board([probe("database"), probe("email", Health.FAIL, kind="smtp", is_essential=False)])
    status, document = asked(over)
    assert (status, document["status"]) == (200, "warn")
    assert asked(over, "/api/health/email")[0] == 503


def test_a_component_tells_status_latency_since_age_and_reason() -> None:
    refused = probe("database", Health.FAIL, reason=Reason.REFUSED, detail="connection refused")
    [check] = asked(board([refused]))[1]["checks"]["database:responseTime"]
    assert check == {
        "componentId": "database",
        "componentType": "datastore",
        "kind": "postgres",
        "status": "fail",
        "essential": True,
        "since": "2025-11-25T13:52:11Z",
        "observedValue": 4.0,
        "observedUnit": "ms",
        "time": "2025-11-25T14:02:09Z",
        "age_seconds": 2.0,
        "reason": "refused",
        "output": "connection refused",
        "causes": [],
        "affects": [],
    }


def test_the_state_of_the_breaker_around_a_probe_is_told() -> None:
    around = Breaker("probe broken-peer", failures=1)
    breakers.show(around)
    with pytest.raises(TimeoutError), around.guarding():
        raise TimeoutError
    [check] = asked(board([probe("broken-peer")]))[1]["checks"]["broken-peer:responseTime"]
    assert check["breaker"] == "open"


def test_a_result_older_than_three_intervals_is_unknown_and_not_the_last_good_one() -> None:
    over = board([probe("database")])
    assert asked(over, now=NOW + 28)[1]["status"] == "pass"
    status, document = asked(over, now=NOW + 29)
    assert (status, document["status"]) == (503, "unknown")
    assert "no result for 31 s" in document["output"]


def test_an_unreachable_database_is_the_cause_of_what_needs_it() -> None:
    stale = Collected("shop", None, {"moving": NOW - 100}, {"moving": 15})
    over = board([probe("database", Health.FAIL, target="shop")], targets={"shop": stale})
    checks = asked(over)[1]["checks"]
    assert checks["database:responseTime"][0]["affects"] == ["facts-shop"]
    assert checks["facts-shop:state"][0]["causes"] == ["database"]
    fresh = Collected("shop", None, {"moving": NOW - 1}, {"moving": 15})
    over.change(lambda s: replace(s, targets={"shop": fresh}))
    assert asked(over)[1]["checks"]["database:responseTime"][0]["affects"] == []


def test_what_is_wrong_is_said_roots_first() -> None:
    stale = Collected("aaa", None, {"moving": NOW - 100}, {"moving": 15})
    over = board([probe("database", Health.FAIL, target="aaa")], targets={"aaa": stale})
    assert asked(over)[1]["output"].startswith("database: fail; facts-aaa: unknown because of")


def test_facts_count_from_the_tier_that_is_too_old() -> None:
    def health(read: dict[str, float]) -> Health:
        collected = Collected("shop", None, read, {"moving": 15, "catalogs": 3600})
        [found] = components.components(board(targets={"shop": collected}).state, NOW)
        return found.status

    assert health({}) is Health.UNKNOWN
    assert health({"moving": NOW - 44, "catalogs": NOW - 7200}) is Health.PASS
    assert health({"moving": NOW - 46, "catalogs": NOW - 60}) is Health.UNKNOWN


def test_a_kind_is_as_bad_as_its_worst_and_a_name_is_stronger_than_a_kind() -> None:
    over = board([probe("shop"), probe("crm", Health.FAIL)])
    assert asked(over, "/api/health/postgres")[0] == 503
    assert asked(over, "/api/health/shop")[0] == 200


@pytest.mark.parametrize("name", ["database", "storage", "stripe", "email", "unheard-of"])
def test_what_nobody_configured_says_so(name: str) -> None:
    status, document = asked(board(), f"/api/health/{name}")
    assert (status, document["status"]) == (404, "unknown")
    assert "not configured" in document["output"]


def test_a_state_that_cannot_be_rendered_is_not_hidden_behind_an_old_one() -> None:
    over = board([probe("database")])

    async def ask() -> int:
        async with Client(over) as client:
            over.change(lambda s: replace(s, probes={"database": None}))  # type: ignore[dict-item]
            client.publisher.start()
            for _ in range(100):
                if (status := await client.status("/api/health")) == 503:
                    break
                await asyncio.sleep(0.02)
            client.publisher.stop()
            return status

    assert asyncio.run(ask()) == 503


def test_database_is_the_worst_of_several_where_no_probe_has_that_name() -> None:
    shop, crm = probe("database-shop"), probe("database-crm", Health.FAIL)
    status, document = asked(board([shop, crm]), "/api/health/database")
    assert status == 503
    assert list(document["checks"]) == ["database-crm:responseTime", "database-shop:responseTime"]
    assert asked(board([probe("mail", kind="smtp")]), "/api/health/email")[0] == 200
