"""The clocks of client and server may be apart: only the server's counts."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.target.collect import collect

PACKAGE = Path(__file__).parent.parent / "pgwatch_wed"


# Ages of what is kept here, dates that are typed, and when visits of a fleet are allowed, begin and end; no fact, no judgment.
BY_THE_CLIENTS_CLOCK = {
    "app/event_memory.py",
    "app/stripe_webhook.py",
    "cli/fleet_check.py",
    "cli/fleet_delivery.py",
    "cli/history.py",
    "cli/why.py",
    "fleet/bundles.py",
    "fleet/fleet_begin.py",
    "fleet/fleet_engine.py",
    "fleet/inventory/kept_lists.py",
    "fleet/queue/enqueueing.py",
    "fleet/queue/queue_worker.py",
    "fleet/visit_log.py",
    "fleet/visiting.py",
    "history/archive.py",
    "history/remembered.py",
    "load/engine/block_run.py",
    "load/engine/pgbench_process.py",
    "load/http_load/http_run.py",
    "load/sampling/session_watch.py",
    "serve/drill/drill_service.py",
    "serve/service.py",
}


def test_what_is_judged_does_not_ask_the_clients_clock() -> None:
    asking = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"datetime\.now\(|date\.today\(|time\.time\(|utcnow\(", path.read_text())
    }
    assert asking == {"clock.py"}
    through = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\bclock\.now\(|import now\b", path.read_text())
    }
    assert through == BY_THE_CLIENTS_CLOCK


def test_a_server_years_away_is_judged_by_its_own_clock(db: str) -> None:
    snapshot = collect(db)
    server = snapshot.server
    apart = replace(
        server,
        taken_at=server.taken_at + timedelta(days=3650),
        started_at=server.started_at + timedelta(days=3650),
    )
    now, then = analyse([snapshot], Config()), analyse([replace(snapshot, server=apart)], Config())
    assert then.generated_at == now.generated_at + timedelta(days=3650)
