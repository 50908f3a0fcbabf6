"""The configuration file → the parts that run beside the HTTP.

Each part reads its own table, and an error there names the file and the key before anything starts.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import platformdirs

from pgwatch_wed import config
from pgwatch_wed.serve import settings as serving
from pgwatch_wed.serve.alerts.alert_settings import parse_alerts
from pgwatch_wed.serve.alerts.alerting import Alerting
from pgwatch_wed.serve.alerts.export import service_groups
from pgwatch_wed.serve.causes.cause_finder import CauseFinder
from pgwatch_wed.serve.collector import settings as collecting
from pgwatch_wed.serve.collector.collector import Collector
from pgwatch_wed.serve.live import live_families
from pgwatch_wed.serve.metrics import settings as metrics_settings
from pgwatch_wed.serve.metrics.exporter import Exporter
from pgwatch_wed.serve.notify import notify_settings
from pgwatch_wed.serve.notify.notifier import Notifier
from pgwatch_wed.serve.probes import probe_kinds
from pgwatch_wed.serve.probes.host_probe import HostSettings
from pgwatch_wed.serve.probes.postgres import PostgresSettings
from pgwatch_wed.serve.probes.probe_runner import Probe, Runner
from pgwatch_wed.serve.probes.probe_settings import ProbeSettings
from pgwatch_wed.serve.scraping import Scraper, parse_applications
from pgwatch_wed.serve.settings import ServeSettings, WatchedTarget
from pgwatch_wed.serve.slo.slo_keeper import SloKeeper
from pgwatch_wed.serve.slo.slo_settings import parse_slos
from pgwatch_wed.serve.state import Board, Collected, Family, Health, ProbeResult, ServiceState

log = logging.getLogger(__name__)


class ServicePart(Protocol):
    """What runs beside the HTTP."""

    def start(self) -> None:
        """Begin, in a thread of its own; return at once."""

    def stop(self) -> None:
        """End, within a second."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The configuration file as the service reads it; ``source`` is how errors name it."""

    serve: ServeSettings
    analysis: config.Config = field(default_factory=config.Config)
    tables: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def table(self, name: str) -> Mapping[str, Any]:
        """Return the table of a part."""
        found: Mapping[str, Any] = self.tables.get(name, {})
        return found


def load(path: Path | None, listen: str | None = None) -> ServiceSettings:
    """Read the configuration file and the environment; an error names the file and the key."""
    tables, source = config.tables(path)
    analysis = config.parse(tables, source)
    table = dict(tables.get("serve", {}))
    if listen is not None:
        serving.address(listen, "--listen")
        table["listen"] = listen
    serve = serving.parse(table, source, os.environ)
    serving.check_access(serve, source)
    return ServiceSettings(serve, analysis, tables, source)


def parts(
    settings: ServiceSettings, board: Board, now: Callable[[], float]
) -> dict[str, ServicePart]:
    """Return them by name, in the order in which they start."""
    found: dict[str, ServicePart] = {}
    probes = probe_kinds.parse(settings.table("probes"), settings.source)
    wanted = (*probes, *_doors(settings.serve.targets, probes), *_host(probes))
    asked = [probe_kinds.build(p, now) for p in wanted]
    board.change(lambda state: _unknown_yet(state, asked, settings.serve.targets, now()))
    found["probes"] = Runner(board, asked, now=now)
    found |= dict(_collectors(settings, board, now))
    found["metrics"] = Exporter(
        board,
        metrics_settings.parse(settings.serve.room("metrics"), settings.source),
        now,
        is_compatible=settings.serve.postgres_exporter,
    )
    return found | _judges(settings, board, now)


def _host(probes: Sequence[ProbeSettings]) -> Iterator[HostSettings]:
    """Yield a look at this machine, where none is configured."""
    if not any(isinstance(p, HostSettings) or p.name == "host" for p in probes):
        yield HostSettings(name="host", kind="host")


def _judges(
    settings: ServiceSettings, board: Board, now: Callable[[], float]
) -> dict[str, ServicePart]:
    """Return what draws conclusions: objectives, alerts, and who is told of them."""
    folder = _state_folder(settings.serve)
    objectives = parse_slos(settings.table("slo"), settings.source)
    alerting = parse_alerts(settings.table("alerts"), settings.source)
    if alerting.state is None and folder is not None:
        alerting = replace(alerting, state=folder / "alerts.json")
    groups = service_groups(alerting.rules)
    receivers = notify_settings.parse(settings.table("notify"), settings.source)
    clocks: dict[str, Callable[[], float]] = {"now": now, "monotonic": time.monotonic}
    applications = parse_applications(settings.table("app"), settings.source, os.environ)
    scraper = Scraper(applications, board, **clocks)

    def live() -> Iterator[Family]:
        yield from live_families()
        yield from scraper.families()

    return {
        "applications": scraper,
        "slo": SloKeeper(
            objectives, board, live=live, state_folder=folder, log=log.warning, **clocks
        ),
        "alerts": Alerting(board, alerting, groups=groups, live=live, log=log.warning, **clocks),
        "causes": CauseFinder(
            board, monotonic=time.monotonic, config=settings.analysis, log=log.warning
        ),
        "notify": Notifier(
            receivers,
            board,
            state_folder=folder,
            evaluated_every_s=alerting.interval_s,
            log=log.warning,
            **clocks,
        ),
    }


def _state_folder(serve: ServeSettings) -> Path | None:
    """Return where states are kept over a restart; without a folder, the service forgets them."""
    folder = Path(serve.state) if serve.state else platformdirs.user_state_path("pgwatch_wed")
    folder = folder if serve.state else folder / "serve"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        log.warning("nothing is kept over a restart: %s: %s", folder, error.strerror)
        return None
    return folder


def _unknown_yet(
    state: ServiceState, probes: Sequence[Probe], targets: Sequence[WatchedTarget], at: float
) -> ServiceState:
    """Return the state before the first answer: what is configured is not known, rather than absent."""
    return replace(
        state,
        at=at,
        probes={p.settings.name: _before_the_first(p, at) for p in probes},
        targets={t.name: Collected(t.name, None) for t in targets},
    )


def _before_the_first(probe: Probe, at: float) -> ProbeResult:
    settings = probe.settings
    return ProbeResult(
        name=settings.name,
        kind=settings.kind,
        status=Health.UNKNOWN,
        at=at,
        since=at,
        interval_s=settings.interval_s,
        detail="not probed yet",
        is_essential=settings.essential,
        target=probe.target,
    )


def _doors(
    targets: Sequence[WatchedTarget], probes: Sequence[ProbeSettings]
) -> Iterator[PostgresSettings]:
    """Yield a probe for each server that is watched and has none."""
    has = {p.target or p.name for p in probes if isinstance(p, PostgresSettings)}
    taken = {p.name for p in probes}
    for target in targets:
        if target.name not in has:
            name = "database" if len(targets) == 1 else f"database-{target.name}"
            name = name if name not in taken else f"server-{target.name}"
            yield PostgresSettings(
                name=name, kind="postgres", url=target.conninfo, target=target.name
            )


def _collectors(
    settings: ServiceSettings, board: Board, now: Callable[[], float]
) -> Iterator[tuple[str, ServicePart]]:
    pace = collecting.parse(settings.serve.room("collector"), settings.source)
    for target in settings.serve.targets:
        yield (
            f"collector-{target.name}",
            Collector(
                board, target.name, target.conninfo, pace, settings.analysis, now, time.monotonic
            ),
        )
