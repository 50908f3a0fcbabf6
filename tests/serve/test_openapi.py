"""The published description is that of the routes, and the answers are as described."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route

from pgwatch_wed.serve.http import openapi
from pgwatch_wed.serve.http.answers import answers
from pgwatch_wed.serve.http.exposition import Exposition
from pgwatch_wed.serve.http.publisher import Publisher
from pgwatch_wed.serve.http.routes import Readiness, Views
from pgwatch_wed.serve.http.runbook_pages import link
from pgwatch_wed.serve.http.streaming import Watching
from pgwatch_wed.serve.state import Alert, Board, Health, Reason
from tests.serve.states import NOW, Client, board, probe

ALERT = Alert("Down", (("severity", "P0"),), (), "firing", 0.0, NOW - 90, fired_at=NOW - 30)


def test_every_route_is_described_and_nothing_else() -> None:
    over = Board()
    publisher = Publisher(over, lambda: NOW)
    watching = Watching(over, publisher, lambda: NOW)
    views = Views(publisher, Exposition(over), Readiness(), watching, lambda: NOW)
    paths = {r.path for r in views.routes() if isinstance(r, Route)}
    assert paths == set(openapi.DESCRIPTION["paths"])


def schema(name: str) -> dict[str, Any]:
    text = json.dumps(openapi.DESCRIPTION).replace("#/components/schemas/", "#/$defs/")
    return {"$ref": f"#/$defs/{name}", "$defs": json.loads(text)["components"]["schemas"]}


@pytest.mark.parametrize("status", list(Health))
def test_answers_are_as_described(status: Health) -> None:
    reason = Reason.LIMIT if status is Health.FAIL else None
    found = probe("host", status, reason=reason, readings={"used": 0.5, "odd": float("nan")})
    over = board([found], alerts=(ALERT, replace(ALERT, name="Up", resolved_at=NOW)))
    made = answers(over.state, NOW)
    jsonschema.validate(json.loads(made.health.body), schema("Health"))
    jsonschema.validate(json.loads(made.parts["host"].body), schema("Health"))
    jsonschema.validate(json.loads(made.parts["stripe"].body), schema("Health"))
    jsonschema.validate(json.loads(made.alerts.body), schema("Alerts"))
    jsonschema.validate(json.loads(made.slo.body), schema("Slos"))


def test_an_alert_has_an_address_of_its_own() -> None:
    async def ask() -> None:
        async with Client(board(alerts=(ALERT,))) as client:
            [listed] = (await client.get("/api/alerts")).json()["data"]["alerts"]
            assert (await client.get(f"/api/alerts/{listed['id']}")).json() == listed
            assert listed["labels"] == {"alertname": "Down", "severity": "P0"}
            assert await client.status("/api/alerts/0000000000000000") == 404

    asyncio.run(ask())


def test_the_runbook_of_an_alert_is_one_link_away() -> None:
    async def ask() -> None:
        async with Client(board(alerts=(ALERT,))) as client:
            answer = await client.get("/runbooks/BlockedSessions")
            assert answer.headers["content-type"].startswith("text/plain")
            assert "## First look" in answer.text
            for other in ("README.md", "Unheard", "..%2fservice"):
                assert await client.status(f"/runbooks/{other}") == 404

    asyncio.run(ask())
    assert link("docs/runbooks/BlockedSessions.md") == "/runbooks/BlockedSessions"
    assert link("https://wiki.example.com/locks") == "https://wiki.example.com/locks"
    assert link("javascript:alert(1)") == link("docs/runbooks/../x.md") == ""
