"""A mistyped name, on the command line or in the file, is answered with what was meant."""

from typing import Any

import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli, main
from pgwatch_wed.config import parse
from pgwatch_wed.errors import UsageError

IGNORE = {"reason": "known"}


@pytest.mark.parametrize(
    ("table", "meant"),
    [
        ({"profle": "oltp"}, "did you mean 'profile'? valid keys: profile, only"),
        ({"profile": "oltpp"}, "did you mean 'oltp'?"),
        ({"only": ["lok"]}, "did you mean 'lock'?"),
        ({"ignore": ["index-unusd"]}, "did you mean 'index-unused'?"),
        ({"ignore": [{**IGNORE, "rules": "index-*"}]}, "did you mean 'rule'?"),
        ({"ignore": [{**IGNORE, "rule": "index-unsued"}]}, "did you mean 'index-unused'?"),
        ({"ignore": [{**IGNORE, "rule": "nothing-like-it"}]}, "db-analyze explain lists"),
        ({"rules": {"index-unuse": {}}}, "did you mean 'index-unused'?"),
        ({"rules": {"index-unused": {"min_size": 1}}}, "did you mean 'min_size_bytes'?"),
    ],
)
def test_in_the_file(table: dict[str, Any], meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(table, "f.toml")
    assert refused.value.message.startswith("f.toml: ")
    assert refused.value.hint.startswith(meant)


@pytest.mark.parametrize("pattern", ["index-*", "index", "*", "index-unused", "*-unused"])
def test_an_ignore_may_name_a_rule_an_area_or_a_pattern(pattern: str) -> None:
    (entry,) = parse({"ignore": [{**IGNORE, "rule": pattern}]}, "f.toml").ignores
    assert entry.rule == pattern


def test_an_ignored_rule_is_a_text() -> None:
    with pytest.raises(UsageError, match=r"ignore\.rule must be a string"):
        parse({"ignore": [{**IGNORE, "rule": 3}]}, "f.toml")


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["run", "--format", "jsn"], "did you mean 'json'?"),
        (["run", "--fail-on", "new:warnings"], "did you mean 'warning'?"),
        (["run", "--oly", "lock"], "'--only'"),
        (["history", "lst"], "Did you mean 'list'?"),
    ],
)
def test_on_the_command_line(args: list[str], meant: str) -> None:
    assert meant in CliRunner().invoke(cli, args).output


def test_a_mistyped_command_is_said_to_be_taken_for_a_target(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICEFILE", "/nowhere")
    with pytest.raises(SystemExit):
        main(["rnu"])
    said = capfd.readouterr().err
    assert "'rnu' is no command and was taken for a target; did you mean 'run'?" in said
