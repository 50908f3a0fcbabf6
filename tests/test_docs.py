"""The documentation cannot drift: it is made from the code, or compared with it."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from pgwatch_wed import docs
from pgwatch_wed.analyse import judge
from pgwatch_wed.config import Config
from pgwatch_wed.facts.features import Features
from pgwatch_wed.rules import Rule, all_rules, discover
from pgwatch_wed.target.collect import CLUSTER_FACTS, collect
from tests.psql import psql
from tests.servers import Server

ROOT = Path(__file__).parent.parent
ADDING = (ROOT / "docs" / "adding-a-rule.md").read_text(encoding="utf-8")
HEADINGS = ("## Why it matters", "## How sure we are", "## Not reported", "## Remedy")
CATALOGUE = {
    "query": "query-top-time query-temp-spill query-io-bound query-planning-heavy query-jit-overhead "
    "query-wal-heavy query-n-plus-one query-unstable query-misestimate query-function-on-column "
    "query-partition-not-pruned",
    "index": "index-missing index-missing-fk index-duplicate index-redundant index-unused "
    "index-rarely-used index-invalid index-bloat index-blocks-hot index-null-heavy "
    "index-brin-candidate index-wrong-method index-too-many",
    "vacuum": "vacuum-dead-tuples vacuum-disabled vacuum-trigger-too-late vacuum-never "
    "vacuum-wraparound vacuum-multixact vacuum-horizon vacuum-workers-saturated table-bloat "
    "toast-bloat analyze-stale analyze-never analyze-partition-parent",
    "lock": "lock-blocked lock-ddl-queue lock-idle-in-transaction lock-long-transaction "
    "lock-prepared-transaction lock-deadlocks lock-no-timeouts lock-table-pressure",
    "cache": "cache-hit-ratio cache-backend-writes cache-temp-files cache-work-mem "
    "cache-shared-buffers cache-huge-pages cache-slru",
    "wal": "wal-checkpoints-requested wal-full-page-images wal-buffers-full wal-archive-failing "
    "replication-slot-retention replication-slot-inactive replication-lag",
    "config": "config-dangerous config-pending-restart config-default-memory "
    "config-observability config-logging config-version config-role-override",
    "connection": "connection-usage connection-churn connection-idle",
    "schema": "schema-int-overflow schema-sequence-exhaustion schema-no-primary-key "
    "schema-no-replica-identity schema-fk-type-mismatch schema-default-partition-rows "
    "schema-constraint-not-valid",
    "integrity": "integrity-checksum-failures integrity-collation-version",
    "coverage": "coverage-window coverage-privileges coverage-statements coverage-extension",
}


def test_every_rule_of_the_catalogue_exists_in_its_area() -> None:
    found = {(r.area, r.id) for r in all_rules()}
    promised = {(area, rule) for area, ids in CATALOGUE.items() for rule in ids.split()}
    assert promised - found == set()


@pytest.mark.parametrize("rule", all_rules(), ids=lambda r: r.id)
def test_a_rule_documents_itself_under_the_fixed_headings(rule: Rule) -> None:
    assert rule.summary.endswith(".")
    for heading in HEADINGS:
        body = rule.doc.partition(heading)[2].strip()
        assert len(body) > 20, f"{rule.id}: {heading} says nothing"


@pytest.mark.parametrize("rule", all_rules(), ids=lambda r: r.id)
def test_every_limit_says_what_it_means(rule: Rule) -> None:
    table = docs.limits_table(rule, "github").splitlines()[2:]
    assert all(row.split("|")[3].strip() for row in table), docs.limits_table(rule)
    assert Config().limits_of(rule) == rule.limits()


def test_the_pages_of_rules_are_fresh() -> None:
    folder = ROOT / "docs" / "rules"
    written = {p.name: p.read_text(encoding="utf-8") for p in folder.glob("*.md")}
    assert written == docs.pages(), "run `make docs`"


def test_every_rule_has_a_test_of_its_own() -> None:
    tests = "\n".join(
        p.read_text(encoding="utf-8") for p in (ROOT / "tests" / "rules").glob("*.py")
    )
    scenarios = {p.parent.name for p in (ROOT / "tests" / "scenarios").glob("*/bad*.sql")}
    untested = {r.id for r in all_rules() if r.id not in scenarios and r.id not in tests}
    assert untested == set()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"


# The page for those who add to it


def test_the_rule_on_the_page_is_one_and_its_remedy_silences_it(
    pg: Server, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", ADDING, re.DOTALL)
    folder = tmp_path / "rules_of_the_page" / "schema"
    folder.mkdir(parents=True)
    for place, text in (("../__init__", ""), ("__init__", ""), ("unlogged_table", code)):
        (folder / f"{place}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    (rule,) = discover("rules_of_the_page")
    psql(db, "create unlogged table carts as select generate_series(1, 2000) id; analyze carts")
    (finding,) = judge(rule, collect(db), Config())[1]
    assert (finding.rule, finding.object.label) == ("schema-unlogged-table", "public.carts")
    for heading in HEADINGS:
        assert heading in rule.doc
    psql(db, finding.remedy[0].sql)
    assert judge(rule, collect(db), Config())[1] == ()


def test_the_helpers_on_the_page_exist() -> None:
    named = 0
    for cell in re.findall(r"^\| [^|]+ \| (`.*) \|$", ADDING, re.MULTILINE):
        for part in (p for p in cell.split(";") if "`" in p):
            place, *names = re.findall(r"`([\w.]+)`", part)
            if place == "snapshot.server.features":
                module: object = Features
            else:
                module = import_module(f"pgwatch_wed.{place}")
            assert [n for n in names if not hasattr(module, n)] == [], place
            named += len(names)
    assert named > 50


def test_the_files_on_the_page_exist_and_its_facts_of_the_cluster_are_all() -> None:
    paths = re.findall(r"`((?:pgwatch_wed|tests|docs|reports)/[\w/.-]+?)/?`", ADDING)
    assert len(paths) > 10
    assert [p for p in paths if not (ROOT / p).exists()] == []
    listed = ADDING.partition("The facts of the cluster are")[2].partition(".\n")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == CLUSTER_FACTS


def test_the_table_of_rooms_is_that_of_the_layers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \|", text.partition("| room |")[2], re.MULTILINE)
    told = [[name.split(".")[0] for name in re.findall(r"`(\w+)(?:/|\.py)`", row)] for row in rows]
    assert told == [layer.split(" | ") for layer in layers]
    for place in re.findall(r"`((?:\w+/)+\w+\.py)`", text):
        assert (ROOT / place).exists() or (ROOT / "pgwatch_wed" / place).exists(), place
