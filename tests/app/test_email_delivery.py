"""What became of emails."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from pgwatch_wed.app.email_delivery import EmailWatch, delivery_stats, from_api, from_table
from pgwatch_wed.app.metrics import AppMetrics


def test_from_a_table() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table email_log (id int, last_event text)")
        words = [
            "email.delivered",
            "Opened",
            "bounced",
            "complained",
            "sent",
            "delivery_delayed",
            "teleported",
            None,
        ]
        connection.executemany("insert into email_log values (?, ?)", enumerate(words))
        stats = delivery_stats(from_table(connection, "select id, last_event from email_log"))
    assert (stats.total, stats.unknown) == (8, 2)
    assert stats.by_outcome == {
        "sent": 1,
        "delivered": 2,
        "bounced": 1,
        "deferred": 1,
        "complained": 1,
        "failed": 0,
    }
    assert (stats.delivery_rate, stats.bounce_rate) == (0.75, 0.25)


def test_no_emails_are_no_rate() -> None:
    stats = delivery_stats([("a", "sent")])
    assert (stats.delivery_rate, stats.bounce_rate) == (None, None)


def api(documents: dict[str, Any]) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != "Bearer right":
            return httpx.Response(401)
        return httpx.Response(200, text=json.dumps(documents[request.url.params.get("after", "")]))

    return httpx.Client(transport=httpx.MockTransport(answer))


PAGES = {
    "": {
        "data": [{"id": "1", "last_event": "delivered"}, {"id": "2", "last_event": "bounced"}],
        "has_more": True,
    },
    "2": {"data": [{"id": "3", "status": "sent"}, "nonsense"], "has_more": False},
}


def test_from_an_api_page_by_page() -> None:
    with api(PAGES) as client:
        found = list(from_api("https://mail.test/emails", "right", client=client))
        assert found == [("1", "delivered"), ("2", "bounced"), ("3", "sent")]
        with pytest.raises(httpx.HTTPStatusError):
            list(from_api("https://mail.test/emails", "wrong", client=client))


def test_an_api_without_end_is_left_after_some_pages() -> None:
    with api({"": (page := {"data": [{"id": "1"}], "has_more": True}), "1": page}) as client:
        assert len(list(from_api("https://mail.test/emails", "right", client=client, pages=4))) == 4


def test_each_outcome_is_counted_once_and_what_was_there_before_is_not_news() -> None:
    registry = CollectorRegistry()
    watch = EmailWatch(AppMetrics("shop", registry))

    def counts() -> dict[str, float | None]:
        return {
            o: registry.get_sample_value("shop_emails_total", {"outcome": o})
            for o in ("sent", "delivered", "bounced")
        }

    assert watch.update([("1", "delivered"), ("2", "sent")]) == 0
    assert counts() == {"sent": 0, "delivered": 0, "bounced": 0}
    watch.update([("1", "delivered"), ("2", "bounced"), ("3", "delivered"), ("4", "sent")])
    assert counts() == {"sent": 2, "delivered": 1, "bounced": 1}
    watch.update([("1", "opened"), ("2", "bounced"), ("3", "clicked"), ("4", "sent")])
    assert counts() == {"sent": 2, "delivered": 1, "bounced": 1}
