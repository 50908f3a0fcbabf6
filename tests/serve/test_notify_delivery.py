"""Messages reach real receivers: over failures, hangs and restarts, once and in order."""

import asyncio
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import Message
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pgwatch_wed.findings import Grade, Remedy
from pgwatch_wed.serve.causes.suspect import Suspect
from pgwatch_wed.serve.notify.courier import Courier, Relay
from pgwatch_wed.serve.notify.fingerprints import identity
from pgwatch_wed.serve.notify.notifier import Notifier
from pgwatch_wed.serve.notify.notify_settings import NotifySettings, parse
from pgwatch_wed.serve.notify.sending import UndeliveredError, post
from pgwatch_wed.serve.state import Alert, Board
from tests.serve.receivers import HttpReceiver, alertmanager, http_receiver, wait_for
from tests.tls import Certificates

START = 1_800_000_000.0


def alert(name: str = "HttpErrorsHigh", state: str = "firing", **labels: str) -> Alert:
    given = {"severity": "critical", "target": "shop", **labels}
    said = (("summary", "5.2% of requests fail"), ("runbook_url", "https://example.com/r"))
    ended = START + 60 if state == "resolved" else None
    return Alert(name, tuple(given.items()), said, state, 0.052, START, START, ended)


def settings(**receiver: Any) -> NotifySettings:
    return parse(
        {"external_url": "https://monitor.example.com", "receivers": {"it": receiver}}, "f"
    )


@dataclass
class Driven:
    """A courier with its own clock."""

    settings: NotifySettings
    folder: Path
    now: float = START
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        receiver = self.settings.receivers[0]
        state = self.folder / "state.json"
        self.courier = Courier(receiver, self.settings, state, lambda: self.now, self.lines.append)

    def run(self, seconds: float, *alerts: Alert, step: float = 5) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.courier.run_once(alerts, self.now)


@pytest.fixture
def hook() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


def told(hook: HttpReceiver) -> list[tuple[str, list[str]]]:
    return [
        (m["status"], [f"{a['labels']['alertname']} {a['status']}" for a in m["alerts"]])
        for m in hook.got
    ]


def test_a_webhook_gets_alertmanagers_format_with_the_cause(
    hook: HttpReceiver, tmp_path: Path
) -> None:
    driven = Driven(settings(kind="webhook", url=hook.url), tmp_path)
    remedy = Remedy("SELECT pg_terminate_backend(4711);", undo="none")
    cause = Suspect("session 4711 holds up 37 others", Grade.A, "blocker", remedy=(remedy,))
    driven.run(30, replace(alert(), causes=(cause,)))
    driven.run(200, alert(state="resolved"))
    assert told(hook) == [
        ("firing", ["HttpErrorsHigh firing"]),
        ("resolved", ["HttpErrorsHigh resolved"]),
    ]
    message = hook.got[0]
    assert message["version"] == "4"
    assert message["commonLabels"] == {
        "alertname": "HttpErrorsHigh",
        "severity": "critical",
        "target": "shop",
    }
    (one,) = message["alerts"]
    assert (one["startsAt"], one["endsAt"]) == ("2027-01-15T08:00:00.000Z", "0001-01-01T00:00:00Z")
    assert one["causes"][0]["remedy"][0]["sql"] == "SELECT pg_terminate_backend(4711);"
    assert len({h["Idempotency-Key"] for h in hook.headers}) == 2


@pytest.mark.parametrize(
    ("severity", "receives", "is_told"),
    [("page", None, True), ("", None, True), ("page", ["critical"], False), ("none", None, False)],
)
def test_an_alert_of_an_own_rule_is_told_whatever_its_severity_is_called(
    hook: HttpReceiver, tmp_path: Path, severity: str, receives: list[str] | None, is_told: bool
) -> None:
    wanted = {} if receives is None else {"severities": receives}
    driven = Driven(settings(kind="webhook", url=hook.url, **wanted), tmp_path)
    driven.run(60, alert(severity=severity), step=20)
    assert bool(told(hook)) is is_told


def test_failures_are_retried_with_growing_pauses_and_order_is_kept(
    hook: HttpReceiver, tmp_path: Path
) -> None:
    driven = Driven(settings(kind="webhook", url=hook.url), tmp_path)
    hook.answers = [500, 503, 500, 429]
    driven.run(40, alert())
    assert driven.courier.tally.failed == 3  # after 5, 10, 20 s and so on
    driven.run(60, alert(), alert("Second"))
    assert (driven.courier.tally.failed, hook.got) == (4, [])
    assert "120 s" in driven.lines[-1]  # as the receiver asked
    driven.run(200, alert(state="resolved"), alert("Second"))
    driven.run(100, alert(state="resolved"), alert("Second", state="resolved"))
    assert told(hook) == [
        ("firing", ["Second firing", "HttpErrorsHigh resolved"]),
        ("resolved", ["Second resolved"]),
    ]
    assert all("127.0.0.1" not in line for line in driven.lines)


@pytest.mark.parametrize("answer", ["hang", "trickle"])
def test_a_receiver_that_hangs_is_left_at_the_deadline(hook: HttpReceiver, answer: str) -> None:
    hook.answers = [answer]
    where = settings(kind="webhook", url=hook.url).receivers[0].where
    began = time.monotonic()
    with pytest.raises(UndeliveredError, match="no answer in time"):
        post(where, {}, 0.3)  # type: ignore[arg-type]
    assert time.monotonic() - began < 1.5


def test_a_redirection_is_not_followed_and_not_tried_again_soon(
    hook: HttpReceiver, tmp_path: Path
) -> None:
    driven = Driven(settings(kind="webhook", url=hook.url), tmp_path)
    hook.answers = [302, 404]
    driven.run(290, alert())
    assert (driven.courier.tally.failed, hook.got) == (1, [])


def test_over_a_restart_nothing_is_told_twice_and_its_end_is_told_once(
    hook: HttpReceiver, tmp_path: Path
) -> None:
    driven = Driven(settings(kind="webhook", url=hook.url), tmp_path)
    driven.run(30, alert())
    driven.restart()
    driven.run(30)  # not evaluated yet
    driven.run(30, alert())
    driven.restart()
    driven.run(90, alert(state="resolved"))
    driven.restart()
    driven.run(90, alert(state="resolved"))
    assert told(hook) == [
        ("firing", ["HttpErrorsHigh firing"]),
        ("resolved", ["HttpErrorsHigh resolved"]),
    ]
    (tmp_path / "state.json").write_text("{ half")
    driven.restart()
    assert "corrupt" in driven.lines[-1]
    driven.run(30, alert("Other"))
    assert told(hook)[-1] == ("firing", ["Other firing"])


def test_a_receiver_that_restarts_gets_what_it_missed(tmp_path: Path) -> None:
    with http_receiver() as first:
        port = int(first.url.split(":")[2].split("/")[0])
        driven = Driven(settings(kind="webhook", url=first.url), tmp_path)
        driven.run(10, alert())
    driven.run(20, alert(state="resolved"))
    driven.run(60, alert(state="resolved"))
    assert driven.courier.tally.failure == "connection refused"
    with http_receiver(port) as second:
        driven.run(200, alert(state="resolved"))
    assert told(second) == [("resolved", ["HttpErrorsHigh resolved"])]


def test_maintenance_and_inhibition_hold_back_only_what_is_new(
    hook: HttpReceiver, tmp_path: Path
) -> None:
    quiet = {"reason": "upgrade", "from": "08:00:30", "until": "08:10", "match": {"target": "shop"}}
    table = {"receivers": {"it": {"kind": "webhook", "url": hook.url}}, "maintenance": [quiet]}
    driven = Driven(parse(table, "f"), tmp_path)
    driven.run(30, alert())
    driven.run(
        300, alert(), alert("Held"), replace(alert("Less", target="crm"), inhibited_by="More")
    )
    driven.run(60, alert(state="resolved"), alert("Held"))
    driven.run(300, alert("Held"))
    assert told(hook) == [
        ("firing", ["HttpErrorsHigh firing"]),
        ("resolved", ["HttpErrorsHigh resolved"]),
        ("firing", ["Held firing"]),
    ]


def test_slack_gets_text_that_mentions_nobody(
    hook: HttpReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK", hook.url + "?secret=x")
    driven = Driven(settings(kind="slack", url_env="SLACK"), tmp_path)
    driven.run(30, alert(note="<!channel>"))
    (message,) = hook.got
    assert message["text"] == "[FIRING:1] HttpErrorsHigh on shop"
    assert "&lt;!channel&gt;" in message["attachments"][0]["text"]
    assert hook.paths == ["/hook?secret=x"]
    assert "secret" not in repr(driven.settings)


# Mail

smtp = pytest.importorskip("aiosmtpd.smtp")


@dataclass
class Post:
    port: int
    letters: list[Message] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)


@contextmanager
def post_office(certificates: Certificates) -> Iterator[Post]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.pem("server"), certificates.key("server"))
    post = Post(0)

    class Handler:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            post.letters.append(message_from_bytes(envelope.content))
            return "250 OK"

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, data: Any) -> Any:
        post.logins.append(data.password == b"right")
        return smtp.AuthResult(success=data.password == b"right", handled=False)

    loop = asyncio.new_event_loop()
    make = partial(
        smtp.SMTP,
        Handler(),
        tls_context=context,
        require_starttls=True,
        authenticator=check,
        auth_required=True,
        loop=loop,
    )
    server = loop.run_until_complete(loop.create_server(make, "127.0.0.1", 0))
    post.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield post
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        server.close()
        loop.run_until_complete(all_done(loop))
        loop.close()


async def all_done(loop: asyncio.AbstractEventLoop) -> None:
    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_mail_goes_encrypted_with_a_password_from_a_file(
    certificates: Certificates, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("right\n")
    box = {
        "kind": "email",
        "host": "localhost",
        "from": "monitor@example.com",
        "to": ["ops@example.com"],
    }
    box |= {
        "user": "u",
        "password_file": str(secret),
        "ca_file": str(certificates.pem("authority")),
    }
    with post_office(certificates) as post:
        driven = Driven(settings(**box, port=post.port), tmp_path)
        driven.run(30, alert(target="shop\r\nBcc: evil@example.com"))
        driven.run(90, alert(state="resolved", target="shop\r\nBcc: evil@example.com"))
        assert driven.lines == []
        secret.write_text("wrong\n")
        driven.run(30, alert("Next"))
        assert "SMTP status 535" in driven.lines[-1]
        stranger = {**box, "ca_file": str(certificates.pem("stranger"))}
        other = Driven(settings(**stranger, port=post.port), tmp_path / "b")
        other.run(30, alert())
        assert "TLS failed" in other.lines[0]
    firing, ended = post.letters
    assert firing["Subject"] == "[FIRING:1] HttpErrorsHigh on shop Bcc: evil@example.com"
    assert (firing["Bcc"], firing["To"], firing["Auto-Submitted"]) == (
        None,
        "ops@example.com",
        "auto-generated",
    )
    assert "5.2% of requests fail" in firing.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert firing["References"] == ended["References"]
    assert firing["Message-ID"] != ended["Message-ID"]
    assert post.logins[:2] == [True, True]


# A real Alertmanager, and the whole

ROUTES = """
route: {receiver: hook, group_wait: 0s, group_interval: 1s, repeat_interval: 1h, group_by: [alertname]}
receivers:
- name: hook
  webhook_configs: [{url: 'URL'}]
inhibit_rules:
- source_matchers: ['alertname="DatabaseUnreachable"']
  target_matchers: ['source="database"', 'alertname!="DatabaseUnreachable"']
  equal: [target]
"""


def api(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts?active=true", timeout=5) as answer:
        return list(json.load(answer))


def test_a_real_alertmanager_takes_alerts_and_their_ends_and_our_fingerprints_are_its(
    hook: HttpReceiver, tmp_path: Path
) -> None:
    now = time.time()
    with alertmanager(tmp_path, ROUTES.replace("URL", hook.url)) as url:
        relay = Relay(
            settings(kind="alertmanager", url=url).receivers[0],
            settings(kind="alertmanager", url=url),
            time.monotonic,
        )
        down = replace(
            alert("DatabaseUnreachable", note='grün \\ "x"'), active_at=now, fired_at=now
        )
        lesser = replace(alert("WraparoundNear", source="database"), active_at=now, fired_at=now)
        relay.run_once([down, replace(lesser, inhibited_by="DatabaseUnreachable")], now)
        assert relay.tally.failure == ""
        wait_for(lambda: hook.got)
        seen = {a["labels"]["alertname"]: a for a in api(url)}
        assert {a["fingerprint"] for a in seen.values()} == {identity(down), identity(lesser)}
        assert seen["WraparoundNear"]["status"]["state"] == "suppressed"
        ended = [replace(a, state="resolved", resolved_at=time.time()) for a in (down, lesser)]
        relay.run_once(ended, time.time())
        wait_for(lambda: hook.got[-1]["status"] == "resolved")
    ours = {
        "version",
        "groupKey",
        "truncatedAlerts",
        "status",
        "receiver",
        "groupLabels",
        "commonLabels",
        "commonAnnotations",
        "externalURL",
        "alerts",
    }
    assert hook.got[0].keys() == ours


def test_each_receiver_has_its_thread_and_the_switch_is_asked_only_while_alerts_are_evaluated(
    tmp_path: Path,
) -> None:
    board = Board()
    watchdog = replace(alert("Watchdog"), labels=(("severity", "none"),))

    def show(*alerts: Alert) -> None:
        board.change(lambda s: replace(s, alerts=alerts))

    with http_receiver() as slow, http_receiver() as quick, http_receiver() as switch:
        slow.answers = ["hang"]
        table = {
            "wait_critical": "100 ms",
            "receivers": {
                n: {"kind": "webhook", "url": r.url} for n, r in (("slow", slow), ("quick", quick))
            },
            "watchdog": {"url": switch.url, "interval": "100 ms"},
        }
        moment = [time.time()]
        notifier = Notifier(
            parse(table, "f"),
            board,
            now=time.time,
            monotonic=lambda: moment[0] + time.monotonic(),
            state_folder=tmp_path,
        )
        notifier.start()
        try:
            show(watchdog, alert())
            wait_for(lambda: quick.got and switch.got)
            assert slow.got == []
            moment[0] += 120  # nobody evaluates any more
            time.sleep(1.2)
            asked = len(switch.got)
            time.sleep(1.2)
            assert len(switch.got) == asked
        finally:
            began = time.monotonic()
            notifier.stop()
            assert time.monotonic() - began < 3
    assert [a["labels"]["alertname"] for m in quick.got for a in m["alerts"]] == ["HttpErrorsHigh"]
    assert {s.labels: s.value for f in notifier.families() for s in f.samples}[
        (("receiver", "quick"), ("outcome", "sent"))
    ] == 1
