"""Each alert has a page, its head is what the rule says, and its queries run with the role that it promises."""

import re
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.serve.runbooks.runbook_heads import HEADINGS, MARK, RESPONSE, body, head, rules
from tests.servers import Server

FOLDER = Path(__file__).parent.parent.parent / "docs" / "runbooks"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
RULES = {rule.name: rule for rule in rules()}


def test_alerts_and_pages_are_the_same() -> None:
    assert PAGES.keys() - {"README"} == RULES.keys()
    for rule in RULES.values():
        assert rule.annotations["runbook_url"] == f"docs/runbooks/{rule.name}.md"


@pytest.mark.parametrize("name", RULES)
def test_a_page_begins_with_the_rule_and_says_all_that_is_needed(name: str) -> None:
    page = PAGES[name]
    assert page.partition(MARK)[0] + MARK == head(RULES[name])
    written = body(page)
    assert tuple(re.findall(r"^## .*$", written, re.MULTILINE)) == HEADINGS
    for heading in HEADINGS:
        said = written.partition(heading)[2].partition("\n## ")[0].strip()
        assert len(said) > 7, f"{heading} says nothing"


def test_severity_and_priority_belong_together() -> None:
    for rule in RULES.values():
        severity, priority = rule.labels["severity"], rule.labels.get("priority", "")
        allowed = {
            "critical": ("P0", "P1"),
            "warning": ("P1", "P2", "P3"),
            "info": ("P3",),
            "none": ("",),
        }[severity]
        assert priority in allowed, rule.name
        assert not priority or priority in RESPONSE


def test_the_queries_run_as_pg_monitor(pg: Server) -> None:
    queries = {
        q
        for page in PAGES.values()
        for q in re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    }
    assert len(queries) > 15
    with pg.database() as dsn, pg.role("pg_monitor") as role:
        database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        with psycopg.connect(pg.dsn(str(database), user=role), autocommit=True) as session:
            session.execute("set statement_timeout = '10s'")
            for query in queries:
                session.execute(query.encode())
