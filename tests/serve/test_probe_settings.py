"""The tables of probes: every error is one line that names file and key, and no secret stands in the file."""

from pathlib import Path
from typing import Any

import pytest

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.probes.postgres import PostgresSettings
from pgwatch_wed.serve.probes.probe_kinds import parse
from pgwatch_wed.serve.probes.web import WebSettings, holds

WEB = {"kind": "http", "url": "https://api.example.com/health"}


def wrong(table: Any, name: str = "api") -> str:
    with pytest.raises(UsageError) as error:
        parse({name: table}, "pgwatch_wed.toml")
    assert "pgwatch_wed.toml: probes" in error.value.message
    assert "hunter2" not in str(error.value)
    return error.value.message.removeprefix("pgwatch_wed.toml: probes.")


def test_a_table_is_read() -> None:
    (found,) = parse(
        {"api": {**WEB, "interval": "1 min", "deadline": 2, "latency": "500 ms", "json": "a == 1"}},
        "x",
    )
    assert isinstance(found, WebSettings)
    assert (found.interval_s, found.deadline_s, found.latency_s) == (60, 2, 0.5)
    assert (found.json, found.essential, found.tries) == (("a == 1",), False, 2)


def test_the_names_of_the_api_need_no_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_1")
    database, stripe = parse({"database": {"url": "host=db dbname=shop"}, "stripe": {}}, "x")
    assert (database.kind, database.essential, stripe.kind) == ("postgres", True, "stripe")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"url": "x"}, "api.kind must be one of"),
        ({"kind": "ftp"}, "api.kind must be one of"),
        ({"kind": []}, "api.kind must be one of"),
        (7, "api must be a table"),
        ({"kind": "http"}, "api: url is missing"),
        ({**WEB, "urls": "x"}, "api: unknown key 'urls'"),
        ({**WEB, "url": "ftp://x"}, "api.url must begin with http"),
        ({**WEB, "url": 7}, "api.url must be a text"),
        (
            {**WEB, "url": "https://u:hunter2@x/"},
            "api.url: a password does not belong in this file",
        ),
        ({**WEB, "token": "hunter2"}, "api.token: a secret does not belong in this file"),
        (
            {**WEB, "token_env": "NO_SUCH_VARIABLE"},
            "api.token_env: the environment variable NO_SUCH_VARIABLE is empty or",
        ),
        (
            {**WEB, "token_file": "/no/such/file"},
            "api.token_file: the file /no/such/file is empty or",
        ),
        ({**WEB, "token_file": ""}, "api.token_file must be the name of a file"),
        ({**WEB, "interval": "soon"}, "api.interval must be a time such as '15 s'"),
        ({**WEB, "interval": True}, "api.interval must be a time"),
        ({**WEB, "interval": -1}, "api.interval must be a time"),
        ({**WEB, "interval": float("nan")}, "api.interval must be a time"),
        ({**WEB, "deadline": "20 s"}, "api.deadline must be shorter than the interval"),
        ({**WEB, "tries": 9}, "api.tries: so many tries do not fit"),
        ({**WEB, "tries": 1.5}, "api.tries must be a whole number"),
        ({**WEB, "essential": "yes"}, "api.essential must be true or false"),
        ({**WEB, "auth": "pass"}, "api.auth must be 'warn' or 'fail'"),
        ({**WEB, "json": "status is ok"}, "api.json must be such as"),
        ({**WEB, "status": "good"}, "api.status must be such as '200'"),
        ({**WEB, "status": [True]}, "api.status must be a text or a list of texts"),
        ({**WEB, "method": "DELETE"}, "api.method must be"),
        ({**WEB, "authority": "/no/such/file"}, "api.authority is no file of certificates"),
        ({"kind": "postgres", "url": "host=x password=hunter2"}, "api.url: a password does not"),
        ({"kind": "postgres", "url": "postgresql://u:hunter2@x/y"}, "api.url: a password does not"),
        ({"kind": "postgres", "url": "host=x nosuch=1"}, "api.url: invalid connection string"),
        ({"kind": "postgres", "url": "host=x", "role": "leader"}, "api.role must be primary"),
        (
            {"kind": "postgres", "url": "host=x", "role": "standby", "write": True},
            "api.write: nothing",
        ),
        ({"kind": "stripe"}, "api: the key is missing"),
    ],
)
def test_what_is_wrong_is_named(table: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)
    assert wrong(table).startswith(message)


@pytest.mark.parametrize("name", ["", "a b", "../etc", "Ä", "x" * 41, 'a"b', "a\nb", "1"])
def test_a_name_is_a_path_and_a_label(name: str) -> None:
    assert "the name of a probe consists of" in wrong(WEB, name)


def test_probes_are_tables() -> None:
    with pytest.raises(UsageError, match="probes must be tables"):
        parse([], "x")


def test_a_secret_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    (found,) = parse({"database": {"url": "host=db user=x", "password_file": str(file)}}, "x")
    assert isinstance(found, PostgresSettings)
    assert "password=first" in found.conninfo()
    file.write_text("second")
    assert "password=second" in found.conninfo()
    assert "second" not in repr(found)


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ('status == "ok"', True),
        ("queue.0.waiting < 5", True),
        ("queue.0.waiting >= 5", False),
        ("queue.1.waiting < 5", False),
        ("missing == null", False),
        ("is_ready == true", True),
        ("is_ready == 1", False),
        ("status < 5", False),
        ("queue.waiting < 5", False),
        ("nothing == null", True),
    ],
)
def test_conditions_on_json(text: str, is_met: bool) -> None:
    document = {"status": "ok", "queue": [{"waiting": 4}], "is_ready": True, "nothing": None}
    assert holds(text, document) is is_met
