"""A target that is typed in the wrong place: no command repeats its password."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from pgwatch_wed.cli import cli, main

# Refused at once: nothing listens there.
URI = "postgresql://somebody:planted-secret@127.0.0.1:1/db"
FORMS = (URI, "host=127.0.0.1 port=1 password=planted-secret")


@cache
def commands() -> dict[tuple[str, ...], click.Command]:
    """Every command that is no group, by the words that call it."""
    return dict(_below(cli, (), click.Context(cli)))


def _below(
    command: click.Command, words: tuple[str, ...], context: click.Context
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _below(found, (*words, name), context)


def _options(command: click.Command) -> list[str]:
    named = [p for p in command.params if isinstance(p, click.Option) and not p.is_flag]
    return [max(p.opts, key=len) for p in named if not p.count]


def _takes_arguments(command: click.Command) -> bool:
    return any(isinstance(p, click.Argument) for p in command.params)


def _said(capfd: pytest.CaptureFixture[str], args: list[str]) -> str:
    with pytest.raises(SystemExit):
        main(args)
    printed = capfd.readouterr()
    return printed.out + printed.err


def test_there_are_commands_with_options() -> None:
    assert {("run",), ("perf", "suite"), ("history", "prune")} <= set(commands())
    assert sum(len(_options(command)) for command in commands().values()) > 100


@pytest.mark.parametrize("secret", FORMS)
def test_usage_errors_repeat_no_password(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    for words, command in commands().items():
        monkeypatch.setattr(command, "callback", lambda **_: None)
        misplaced = [[secret] * 4, [f"--{secret}"], [f"--no-such={secret}"], [f"-{secret}"]]
        misplaced += [[option, secret] for option in _options(command)]
        misplaced += [[f"{option}={secret}"] for option in _options(command)]
        for args in misplaced:
            assert "planted-secret" not in _said(capfd, [*words, *args]), [*words, *args]


def test_groups_repeat_no_password(capfd: pytest.CaptureFixture[str]) -> None:
    groups = {words[:-1] for words in commands() if len(words) > 1}
    assert ("history",) in groups
    for words in groups:
        for secret in FORMS:
            assert "planted-secret" not in _said(capfd, [*words, secret])


@pytest.mark.parametrize("words", [w for w, c in commands().items() if _takes_arguments(c)])
def test_what_fails_later_repeats_no_password(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = commands()[words]
    targets = [URI for p in command.params if isinstance(p, click.Argument)]
    for args in [[], *([option, URI] for option in _options(command))]:
        said = _said(capfd, [*words, *args, *targets])
        assert "planted-secret" not in said, [*words, *args]
        assert "Traceback" not in said, [*words, *args]
