"""The drill plants on a server of its own, and is told of what it planted."""

from pathlib import Path

import pytest

from pgwatch_wed.cli import main
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.serve.alerts.alerting import default_rules
from pgwatch_wed.serve.alerts.rule_files import every_rule, parse
from pgwatch_wed.serve.drill.drill_incidents import INCIDENTS, ROLE, prepared
from pgwatch_wed.serve.drill.drill_run import drilled
from pgwatch_wed.serve.drill.drill_service import listening, scaled_rules, serving


def test_rules_at_another_speed_wait_less_and_ask_the_same() -> None:
    own, fast = (
        list(every_rule(parse(text, "f")))
        for text in (default_rules(), scaled_rules(default_rules(), 10))
    )
    assert [r.query for r in own] == [r.query for r in fast]
    assert {r.for_ms for r in fast if r.for_ms} <= {
        max(r.for_ms / 10, 1000) for r in own if r.for_ms
    }
    assert sum(r.for_ms for r in fast) < sum(r.for_ms for r in own) / 8


@pytest.mark.slow
def test_a_server_that_stops_is_found_named_and_forgotten(tmp_path: Path) -> None:
    (stopped,) = [i for i in INCIDENTS if i.name == "the server is stopped"]
    settings = {"max_connections": "40", "shared_preload_libraries": "pg_stat_statements"}
    with (
        embedded.start(settings) as server,
        prepared(server) as planted,
        listening(planted.dependency_hangs) as ears,
        serving(server.dsn(user=ROLE), ears, 15, tmp_path),
    ):
        (outcome,) = drilled(planted, ears, [stopped], 15)
    assert outcome.detected_s is not None
    assert outcome.is_right
    assert outcome.resolved_s is not None


def test_a_drill_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drill", "--only", "nonsense"])
    assert ended.value.code == 2
