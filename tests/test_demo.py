"""The demo tells what was planted and which of it was found; README shows what it prints."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_wed import assets
from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli import demo_story
from pgwatch_wed.config import Config
from pgwatch_wed.findings import Report, Verdict
from pgwatch_wed.rules import rule
from tools import example

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shop() -> Report:
    return analyse([example.snapshot()], Config(window_days=0))


def test_all_that_is_planted_is_found(shop: Report) -> None:
    count = len(demo_story.PLANTED)
    assert count > 12
    lines = list(demo_story.told(shop))
    assert [line for line in lines if line.startswith("  ") and not line.endswith(" found")] == []
    assert f"{count} of {count} planted faults were found." in lines
    assert max(map(len, lines)) <= 80


def test_every_fault_of_the_script_is_told() -> None:
    script = assets.text("sql", "demo", "shop.sql")
    named = re.findall(r"^-- faults?: (.*)$", script, re.MULTILINE)
    assert sum(len(line.split(", ")) for line in named) == 7
    told = {name for each in demo_story.PLANTED for name in each.rules}
    for name in (
        *("schema-int-overflow", "schema-no-primary-key", "index-duplicate", "index-redundant"),
        *("index-unused", "index-invalid", "vacuum-disabled"),
    ):
        assert rule(name).id in told


def test_what_was_not_found_is_not_called_found(shop: Report) -> None:
    without = tuple(f for f in shop.findings if f.rule != "index-duplicate")
    verdicts = {v.rule: v for v in shop.verdicts}
    clear = replace(verdicts["index-duplicate"], verdict=Verdict.CLEAR, reason="")
    unknown = replace(clear, verdict=Verdict.UNKNOWN, reason="indexes: permission denied")
    (twice,) = (each for each in demo_story.PLANTED if "index-duplicate" in each.rules)
    for verdict, said in ((clear, "missed"), (unknown, "not evaluated")):
        others = tuple(v for v in shop.verdicts if v.rule != "index-duplicate")
        assert twice.told(replace(shop, findings=without, verdicts=(*others, verdict))) == said
    assert twice.told(replace(shop, findings=without, verdicts=())) == "not asked for"
    assert twice.told(replace(shop, findings=(), hidden=shop.findings)) == "found"


def test_readme_shows_what_the_demo_tells(shop: Report) -> None:
    told = "\n".join(demo_story.told(shop))
    shown = README.partition("What was planted in this shop:")[2].partition("\n```")[0]
    assert shown
    assert f"What was planted in this shop:{shown}" == told.partition("\n\nThe shop is")[0]
