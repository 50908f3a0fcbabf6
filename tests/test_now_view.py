"""What `db-analyze now` makes of a moment: what is unknown is not good news, and nobody's way is nobody's business."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgwatch_wed.cli.now import _fitting, _rows
from pgwatch_wed.facts import Cause, LockWait, Missing, PreparedTransaction, Session, Slot, Snapshot
from pgwatch_wed.facts.server_moment import ServerMoment, WalDirectory
from pgwatch_wed.render import now_json, now_text, now_view
from pgwatch_wed.render.now_view import NowView
from pgwatch_wed.target.collect import DERIVED
from tests.reports import server

NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)
SERVER = replace(server(), taken_at=NOW, version_num=170004)
TIMED_OUT = Missing("the query took longer than 2 s", "increase --budget", Cause.OUT_OF_TIME)
ABSENT = Missing("there is no function pg_blocking_pids", "", Cause.NOT_OFFERED)


def session(pid: int, state: str = "active", minutes: float = 70, **fields: Any) -> Session:
    begun = NOW - timedelta(minutes=minutes)
    plain = Session(
        *(
            pid,
            None,
            SERVER.database,
            "shop",
            "web",
            "10.0.0.5",
            "client backend",
            state,
            None,
            None,
        ),
        *(begun, begun, begun, begun, None, None, None, "select ?"),
    )
    return replace(plain, **fields)


def hidden(pid: int) -> Session:
    nothing = (None,) * 14
    return Session(pid, None, SERVER.database, "shop", *nothing)


def waiting(pid: int, *blocked_by: int, minutes: float | None = 10, **fields: Any) -> LockWait:
    begun = None if minutes is None else NOW - timedelta(minutes=minutes)
    plain = LockWait(pid, blocked_by, "transactionid", "ShareLock", None, None, None, begun)
    return replace(plain, **fields)


def snapshot(*sessions: Session, **fields: Any) -> Snapshot:
    return Snapshot("test", SERVER, **{"missing": DERIVED, "sessions": sessions, **fields})


def unread(found: Snapshot, *names: str, why: Missing = TIMED_OUT) -> NowView:
    nothing: dict[str, Any] = dict.fromkeys(names, ())
    missing = {**found.missing, **dict.fromkeys(names, why)}
    return view(replace(found, missing=missing, **nothing))


def view(found: Snapshot) -> NowView:
    return now_view.view(ServerMoment(found, WalDirectory(1, 16 * 2**20), 20))


def text(seen: NowView, **how: Any) -> str:
    return now_text.text(seen, "db", **how)


def document(seen: NowView) -> dict[str, Any]:
    return dict(json.loads(now_json.document(seen, "db")))


DUMP = session(777, application_name="pg_dump", xmin_age_xids=5_000)


def slot(**fields: Any) -> Slot:
    plain = Slot(
        *("gone", None, "physical", None, False, False, None, 9_000, None, 2**30, None, "extended"),
        *(None, NOW - timedelta(hours=2), None, None),
    )
    return replace(plain, **fields)


@pytest.mark.parametrize(
    "found",
    [
        snapshot(replace(DUMP, wait_event_type="Client", wait_event="ClientWrite")),
        snapshot(
            replace(DUMP, state="idle in transaction")
        ),  # of pg_dump --jobs, that is its leader
        snapshot(slots=(slot(),)),
        snapshot(prepared_transactions=(PreparedTransaction("xa", "shop", "shop", NOW, 9),)),
    ],
)
def test_what_is_in_nobodys_way_is_not_ended(found: Snapshot) -> None:
    seen = view(replace(found, server=replace(SERVER, taken_at=NOW + timedelta(minutes=6))))
    assert seen.steps == ()
    said = text(seen)
    assert "What to do once: nothing\n" in said
    assert "pg_terminate_backend" not in said
    assert "pg_drop_replication_slot" not in said
    assert "Also seen" in said, "it is worth knowing"
    assert "held back by: " in said or not found.sessions


def test_who_is_in_others_way_is_ended_even_if_it_is_a_dump() -> None:
    idle = replace(DUMP, state="idle in transaction")
    seen = view(snapshot(idle, session(2), lock_waits=(waiting(2, 777),)))
    (step,) = seen.steps
    assert "pg_terminate_backend(777)" in step.remedies[0].sql


@pytest.mark.parametrize("why", [TIMED_OUT, ABSENT, Missing("lost", "run again", Cause.BROKEN)])
def test_locks_that_were_not_read_are_unknown(why: Missing) -> None:
    seen = unread(snapshot(session(1), session(2)), "lock_waits", why=why)
    said = text(seen)
    assert f"Locks: unknown, they could not be read: {why.reason}" in " ".join(said.split())
    assert f"What to do once: unknown, lock waits: {why.reason}" in " ".join(said.split())
    assert "Not visible" in said
    assert "--budget" not in said
    found = document(seen)
    assert found["locks"] == dict.fromkeys(found["locks"])
    assert found["to_do"] is None
    assert "lock-blocked" in {each["rule"] for each in found["not_evaluated"]}


def test_sessions_that_were_not_read_are_unknown() -> None:
    facts = ("sessions", "prepared_transactions", "slots", "databases")
    seen = unread(snapshot(), *facts)
    said = text(seen)
    for part in ("Connections", "Running"):
        assert f"{part}: unknown, they could not be read: {TIMED_OUT.reason}" in said
    assert "held back by: unknown, could not be read: sessions, prepared transactions" in said
    assert "freezing: unknown" in said
    assert "slots: unknown" in said
    assert "What to do once: unknown" in said
    found = document(seen)
    null = ("connections", "running", "waits", "horizon", "slots", "to_do")
    assert {name: found[name] for name in null} == dict.fromkeys(null)
    assert found["freezing"]["databases"] is None
    assert found["locks"]["waiting_sessions"] == 0, "these were read"


def test_a_rule_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pgwatch_wed.rules.lock.blocked.check", fails)
    monkeypatch.setattr("pgwatch_wed.rules.vacuum.horizon.check", fails)
    seen = view(snapshot(session(1)))
    assert "What to do once: unknown, the rule failed with an unexpected ZeroDivisionError" in text(
        seen, width=120
    )
    (reason, _) = seen.lacking[0]
    assert reason.startswith(("lock-blocked, vacuum-horizon: ", "vacuum-horizon, lock-blocked: "))


def test_before_14_how_long_others_wait_is_hidden() -> None:
    old = replace(SERVER, version_num=130020)
    found = snapshot(hidden(1), hidden(2), lock_waits=(waiting(2, 1, minutes=None),))
    seen = view(replace(found, server=old))
    said = " ".join(text(seen).split())
    assert "Locks: 1 session waits, for how long is not visible to this role" in said
    assert "2 waits ?: " in said
    assert "What to do once: unknown" in said
    assert "may not see how long 1 session has been waiting" in said
    assert "Running: 0 statements that this role may see" in said
    assert "held back by nothing that this role may see" in said
    locks = document(seen)["locks"]
    assert locks["longest_wait_seconds"] is None
    assert locks["roots"][0]["longest_wait_seconds"] is None
    assert locks["roots"][0]["behind"][0]["waited_seconds"] is None
    both = replace(found, sessions=(hidden(1), hidden(2), session(3)), lock_waits=(
        *found.lock_waits, waiting(3, 1, minutes=None)))  # fmt: skip
    assert "the longest for at least 1.2 h" in text(view(replace(both, server=old)))


def test_in_a_circle_alone_the_wait_is_as_long_as_it_is() -> None:
    waits = (waiting(1, 2, minutes=3), waiting(2, 1, minutes=2))
    seen = view(snapshot(session(1), session(2), lock_waits=waits))
    assert seen.in_circles == (1, 2)
    assert "Locks: 2 sessions wait, the longest for 3 min" in text(seen)


def test_a_name_cannot_control_the_terminal() -> None:
    gid = "xa\x1b]0;owned\x07\x1b[2J\nDROP"
    prepared = PreparedTransaction(gid, "o\x1bwner", "shop", NOW, 9)
    waits = (waiting(2, 0, blocked_by_prepared=(gid,)),)
    seen = view(snapshot(session(2), prepared_transactions=(prepared,), lock_waits=waits))
    said = text(seen)
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\nDROP" not in said
    assert "prepared transaction xa\\x1b]0;owned" in said


def test_what_holds_back_vacuum_in_another_database_is_named_with_it() -> None:
    other = session(9, database="other", user="app", xmin_age_xids=7_000)
    prepared = PreparedTransaction("xa", "app", "third", NOW, 9)
    seen = view(snapshot(other, prepared_transactions=(prepared,), slots=(slot(),)))
    assert [holder.database for holder in seen.holders] == [None, "other", "third"]
    said = " ".join(text(seen).split())
    assert "by 7,000 transactions, in database other" in said
    assert "in database third" in said
    assert "by 9,000 transactions held back" in said, "a slot holds back all"


def test_rows_of_a_terminal_are_counted_not_lines() -> None:
    assert _rows("\x1b[1m" + "x" * 80 + "\x1b[0m", 80) == 1
    assert _rows("x" * 81, 80) == 2
    assert _rows("\u6f22" * 41, 80) == 2
    assert _rows("", 80) == 1
    lines = ["x" * 200, *"abcdefgh"]
    assert _fitting(lines, 12, 80) == lines
    fitting = _fitting(lines, 8, 80)
    assert sum(_rows(line, 80) for line in fitting) == 7, "the last is for the cursor"
    assert fitting[-1].startswith("\u2026 5 more lines")
    narrow = _fitting(lines, 8, 30)
    assert sum(_rows(line, 30) for line in narrow) <= 7
