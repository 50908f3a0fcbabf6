"""The page at ``/``: sections of HTML, of which those that changed are sent to who looks on."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from pgwatch_wed import __version__, assets, units
from pgwatch_wed.findings import Finding, Report
from pgwatch_wed.render import html
from pgwatch_wed.serve.http.alerts_json import alert_id, plain
from pgwatch_wed.serve.http.components import Component, components, overall
from pgwatch_wed.serve.http.runbook_pages import link
from pgwatch_wed.serve.notify.inhibition import severity
from pgwatch_wed.serve.pages import drawing
from pgwatch_wed.serve.pages.recent import CHARTS, Recent
from pgwatch_wed.serve.state import Alert, Health, ServiceState

SECTIONS = ("now", "alerts", "components", "slos", "charts", "findings")
_TOP = 5
_MOST_ALERTS = 100
_AS_SEVERITY = {Health.FAIL: "critical", Health.WARN: "warning", Health.UNKNOWN: "warning"}
_RANK = {"critical": 0, "warning": 1, "info": 2}
_STATES = {"firing": 0, "pending": 1, "resolved": 2}
_WORDS = {
    Health.PASS: "Everything that is watched works",
    Health.WARN: "It works, with warnings",
    Health.FAIL: "Something essential fails",
    Health.UNKNOWN: "Something essential is not known",
}


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """The page at a moment."""

    status: str
    body: bytes
    sections: Mapping[str, str]
    policy: str


class LivePage:
    """Renders the page from a state, and remembers what its charts need."""

    def __init__(self) -> None:
        self._environment = _environment()
        self._css = assets.text("reports", "templates", "report.css") + assets.text(
            "reports", "templates", "service.css"
        )
        self._js = assets.text("reports", "templates", "service.js")
        self._recent = Recent()
        self._lock = threading.Lock()

    def remember(self, state: ServiceState, now: float) -> None:
        """Take what the charts need; called for every publication, whoever looks on."""
        with self._lock:
            self._recent.sample(state, now)

    def render(self, state: ServiceState, now: float) -> RenderedPage:
        """Return the page."""
        with self._lock:
            shown = self._shown(state, now)
        template = self._environment.get_template("service_sections.html.j2")
        context = template.new_context(shown)
        sections = {name: "".join(template.blocks[name](context)) for name in SECTIONS}
        policy = _policy(self._css, self._js)
        body = self._environment.get_template("service.html.j2").render(
            sections={name: Markup(text) for name, text in sections.items()},  # noqa: S704 - rendered, escaped
            status=shown["status"],
            version=__version__,
            css=Markup(self._css),  # noqa: S704 - our own file
            js=Markup(self._js),  # noqa: S704 - our own file
        )
        return RenderedPage(shown["status"].value, body.encode(), sections, policy)

    def _shown(self, state: ServiceState, now: float) -> dict[str, Any]:
        found = components(state, now)
        status = overall(found)
        return {
            "status": status,
            "words": _words(status, found, state.alerts),
            "components": found,
            "counts": {h: sum(c.status is h for c in found) for h in Health},
            "alerts": _sorted(state.alerts),
            "firing": _firing(state.alerts),
            "slos": [plain(s) for s in state.slos],
            "charts": list(self._charts()),
            "lines": {c.name: self._latency(c) for c in found},
            "reports": _reports(state),
            "severity_of": severity_of,
            "state_severity": _AS_SEVERITY.get,
            "alert_id": alert_id,
            "link": link,
            "moment": _moment,
            "Health": Health,
        }

    def _charts(self) -> Any:
        for chart in CHARTS:
            points = self._recent.points(chart.key)
            if len(points) > 1:
                said = drawing.caption(points, chart.unit)
                yield chart.title, said, drawing.line(points, f"{chart.title}: {said}")

    def _latency(self, component: Component) -> Markup:
        points = self._recent.points(f"latency-{component.name}")
        if len(points) < 2:
            return Markup("")
        said = drawing.caption(points, "seconds")
        return drawing.line(points, f"latency of {component.name}: {said}")


def severity_of(alert: Alert) -> str:
    """Return an alert's severity, as the report's colors know it."""
    found = severity(dict(alert.labels))
    return found if found in _RANK else "info"


def _firing(alerts: Sequence[Alert]) -> int:
    return sum(a.state == "firing" and not a.inhibited_by for a in alerts if not _is_watchdog(a))


def _is_watchdog(alert: Alert) -> bool:
    return dict(alert.labels).get("severity") == "none"


def _words(status: Health, found: Sequence[Component], alerts: Sequence[Alert]) -> str:
    if not found:
        return "Nothing is watched yet"
    critical = _firing([a for a in alerts if severity_of(a) == "critical"])
    firing = critical or _firing(alerts)
    if status in (Health.PASS, Health.WARN) and firing:
        noun = "critical alert" if critical else "alert"
        return f"Everything essential answers, but {units.count(firing, noun)} {'fires' if firing == 1 else 'fire'}"
    return _WORDS[status]


def _sorted(alerts: Sequence[Alert]) -> list[Alert]:
    shown = [a for a in alerts if not _is_watchdog(a)]
    shown.sort(key=lambda a: (_STATES.get(a.state, 3), _RANK[severity_of(a)], a.active_at, a.name))
    return shown[:_MOST_ALERTS]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the rules said of a server."""

    target: str
    report: Report
    at: float
    top: tuple[Finding, ...]


def _reports(state: ServiceState) -> list[_Judged]:
    return [
        _Judged(name, c.report, c.judged_at, c.report.findings[:_TOP])
        for name, c in sorted(state.targets.items())
        if c.report is not None and c.judged_at is not None
    ]


def _moment(seconds: float) -> Markup:
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%-d %b %H:%M:%S UTC")
    )


def _environment() -> Environment:
    environment = html.environment()
    environment.filters["seconds"] = lambda value: units.duration(value * 1000)
    environment.filters["share"] = units.share
    return environment


def _policy(css: str, script: str) -> str:
    # browsers compare the hash of what is between the tags
    return html.policy(css, script) + "; connect-src 'self'; frame-ancestors 'none'"
