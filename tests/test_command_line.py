"""What the command line says of itself, and to somebody who mistypes: nothing here needs a server."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from pgwatch_wed.cli import cli, main
from pgwatch_wed.cli.options import RuleList, build_config, rest_of_list
from pgwatch_wed.config import Config
from pgwatch_wed.rules import all_rules, areas

EXAMPLE = Path(__file__).parent.parent / "reports" / "example" / "shop.json.zst"


def completed(*words: str) -> list[str]:
    *before, last = words
    complete = ShellComplete(cli, {}, "db-analyze", "_DB_ANALYZE_COMPLETE")
    return [item.value for item in complete.get_completions(list(before), last)]


def test_a_shell_completes_commands_options_and_lists_of_rules() -> None:
    assert completed("co") == ["collect"]
    assert {"list", "show", "prune"} <= set(completed("history", ""))
    assert "--only" in completed("run", "--on")
    assert completed("--on") == ["--only"], "run is the default command"
    assert completed("--he") == ["--help"]
    assert completed("postgresql:///shop", "--min") == ["--min-severity"]
    assert {*areas(), *(r.id for r in all_rules())} == set(completed("run", "--only", ""))
    assert "lock,vacuum" in completed("run", "--only", "lock,vac")
    assert "lock,lock" not in completed("run", "--only", "lock,lo")
    assert completed("run", "--format", "html,j") == ["html,json", "html,junit"]


@pytest.mark.parametrize("group", [(), ("history",), ("baseline",), ("alerts",), ("perf",)])
def test_no_summary_is_cut_at_80_columns(group: tuple[str, ...]) -> None:
    printed = CliRunner().invoke(cli, [*group, "--help"], terminal_width=80).output
    assert "..." not in printed.partition("Commands:")[2]
    assert max(map(len, printed.splitlines())) <= 80
    told = " ".join(printed.split())
    context = SimpleNamespace(resilient_parsing=True)
    found = cli
    for name in group:
        found = found.get_command(context, name)  # type: ignore[arg-type,assignment]
    for name in found.list_commands(context):  # type: ignore[arg-type]
        command = found.get_command(context, name)  # type: ignore[arg-type]
        assert command is not None
        assert command.get_short_help_str(1_000) in told


def test_help_is_a_word_too() -> None:
    asked = [CliRunner().invoke(cli, words).output for words in (["help"], ["help", "indexes"])]
    for printed, words in zip(asked, (["--help"], ["indexes", "--help"]), strict=True):
        assert printed == CliRunner().invoke(cli, words).output


@pytest.mark.parametrize("option", ["--only", "--ignore"])
def test_a_list_takes_commas_and_says_so(option: str) -> None:
    lists = RuleList()
    assert lists.convert("lock,connection , vacuum", None, None) == ("lock", "connection", "vacuum")
    page = " ".join(CliRunner().invoke(cli, ["run", "--help"], terminal_width=80).output.split())
    assert f"{option} RULE|AREA[,…]" in page
    assert rest_of_list([option, "lock", "connection"]) == (
        f"'connection' was taken for a target; use {option} lock,connection"
    )
    assert not rest_of_list([option, "lock", "service"])
    chosen = build_config(None, (("lock", "connection"), ("vacuum",)), (), None, None)
    assert chosen.only == ("lock", "connection", "vacuum")


def test_the_memory_of_the_machine_comes_from_the_option_or_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["report", str(EXAMPLE), "--only", "cache-shared-buffers", "--format", "text"]
    assert "--memory 16GB" in CliRunner().invoke(cli, given).output
    shown = CliRunner().invoke(cli, [*given, "--memory", "1GB"])
    assert shown.exit_code == 0, shown.output
    assert "--memory" not in shown.output, "it is known, so the rule is evaluated"
    (tmp_path / "pgwatch_wed.toml").write_text('memory = "8GB"', encoding="utf-8")
    assert build_config(None, (), (), None, None).memory_bytes == 8 << 30
    assert build_config(None, (), (), None, None, 1 << 30).memory_bytes == 1 << 30
    assert Config().memory_bytes is None


# What somebody types, and what is said to help.
MISTAKES = {
    "explain lokk": "did you mean 'lock'?",
    "explain idx-unused": "did you mean 'index-unused'?",
    "run localhost:5432": "did you mean postgresql://localhost:5432?",
    "run db.example.com/shop": "did you mean postgresql://db.example.com/shop?",
    "run shop.json.zst": "`db-analyze report FILE` evaluates a snapshot",
    "shop.json.zst": "shop.json.zst is a file, not a server",
    "report x.json": "x.json is a report, not a snapshot",
    "report text.txt": "create one with db-analyze collect -o FILE",
    "collect host=/nowhere -o folder/x.zst": "create it, or use -o DIRECTORY/",
    "diff 1 2 --history none.sqlite3": "'1' is no file, and no run is known",
    "run host=/nowhere --baseline x --history none.sqlite3": "'x' is no file, and no run is known",
    "run host=/nowhere --window abc": "'abc' is not a valid number",
    "run --only lock connection vacuum": "use --only lock,connection",
    "history lst": "Did you mean 'list'?",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_with_what_helps(
    mistake: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text('{"schema_version": 1, "findings": []}', encoding="utf-8")
    (tmp_path / "text.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(mistake.split())
    said = capsys.readouterr().err
    assert ended.value.code in (2, 3)
    assert MISTAKES[mistake] in said
    assert len(said.splitlines()) <= 5


def test_a_format_that_needs_a_browser_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    given = ["run", "host=/nowhere", "--format", "pdf", "-o", str(tmp_path)]
    done = CliRunner().invoke(cli, given)
    assert "Chromium, which prints the PDF, is not installed" in str(done.exception)


def test_an_area_lists_its_rules(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "lock"])
    listed = capsys.readouterr().out
    assert "lock-blocked" in listed
    assert "index-unused" not in listed
