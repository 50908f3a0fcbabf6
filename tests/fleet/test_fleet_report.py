"""db-analyze fleet report: what is printed and written, and the exit status."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from pgwatch_wed import clock
from pgwatch_wed.cli import cli
from pgwatch_wed.fleet.visits import VisitEnding
from tests.fleet.story import COPY, DAY, MONDAY, Story, as_is, without_index

SCHEMA = Path(__file__).parent.parent.parent / "docs" / "fleet-report.schema.json"


def report(story: Story, *words: str) -> Result:
    url = story.opened.place.value
    given = ["fleet", "report", "--history", url, *words]
    return CliRunner().invoke(cli, given, standalone_mode=False)


@pytest.fixture
def two_runs(story: Story, monkeypatch: pytest.MonkeyPatch) -> Story:
    monkeypatch.setattr(clock, "now", lambda: MONDAY + 2 * DAY)
    story.run(MONDAY, {"a": as_is, "b": as_is, "c": without_index(COPY)})
    story.run(MONDAY + DAY, {"a": as_is, "b": VisitEnding.UNREACHABLE, "c": as_is, "d": as_is})
    return story


def test_the_json_keeps_to_its_schema(two_runs: Story) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    printed = report(two_runs, "--format", "json").stdout
    document: dict[str, Any] = json.loads(printed)
    jsonschema.validate(document, schema)
    assert document["summary"]["endings"]["unreachable"] == 1
    assert (document["summary"]["clusters"], document["summary"]["read"]) == (4, 3)
    stale = [
        f
        for issue in document["issues"]
        for cause in issue["causes"]
        for f in cause["findings"]
        if f["cluster"] == "b" and issue["rule"] == "index-duplicate"
    ]
    assert [f["is_current"] for f in stale] == [False]


@pytest.mark.parametrize(
    ("gate", "status"),
    [
        ("critical", 0),
        ("warning", 1),
        ("new:warning", 1),
        ("worse:info", 0),
        ("never", 0),
    ],
)
def test_the_exit_status_is_that_of_the_fleet(two_runs: Story, gate: str, status: int) -> None:
    assert report(two_runs, "--format", "text", "-q", "--fail-on", gate).return_value == status


def test_the_text_fits_80_columns(two_runs: Story) -> None:
    printed = report(two_runs, "--format", "text").stdout
    assert max(map(len, printed.splitlines())) <= 80
    assert "What to do where" in printed
    assert "unreachable: no answer within 10 s" in printed


def test_names_cannot_write_to_the_terminal(story: Story) -> None:
    story.run(MONDAY, {"evil\x1b[2J\u202e</script>": VisitEnding.UNREACHABLE, "b\nc": as_is})
    printed = report(story, "--format", "text", "-v").stdout
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "evil\\x1b[2J\\u202e" in printed


def test_without_a_fleet_run_one_line_says_so(story: Story) -> None:
    done = report(story)
    assert "there is no fleet run in the history" in str(done.exception)
