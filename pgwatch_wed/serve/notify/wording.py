"""What a message says, for each kind of receiver. Nothing of a statement's text gets here: suspects have none."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pgwatch_wed.errors import redact
from pgwatch_wed.serve.causes.suspect import Suspect
from pgwatch_wed.serve.notify.fingerprints import all_labels, fingerprint_of
from pgwatch_wed.serve.notify.grouped import Notice, worst
from pgwatch_wed.serve.state import Alert

_LONGEST = 1000
_COLORS = {"critical": "#b3261e", "warning": "#b26a00", "info": "#3b5bdb"}
_ENDED = "#2e7d32"
_NEVER = "0001-01-01T00:00:00Z"  # as Alertmanager writes an end that is not known


def plain(text: str) -> str:
    """Return a text on one line, without control characters or secrets, cut to a bearable length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in redact(text)).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def subject(notice: Notice) -> str:
    """Return the one line that says most."""
    alerts = notice.firing or notice.resolved
    state = f"FIRING:{len(notice.firing)}" if notice.firing else "RESOLVED"
    names = sorted({a.name for a in alerts.values()})
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    about = dict(notice.group).get("target", "")
    again = " (still)" if notice.is_repeat else ""
    return plain(f"[{state}] {shown}{f' on {about}' if about else ''}{again}")


def body(notice: Notice, external_url: str) -> str:
    """Return the message as plain text."""
    parts = [_paragraph(a) for a in (*notice.firing.values(), *notice.resolved.values())]
    return "\n\n".join((*parts, *([external_url] if external_url else []))) + "\n"


def webhook(notice: Notice, receiver: str, external_url: str) -> dict[str, Any]:
    """Return the message in the format of Alertmanager's webhooks, version 4; ``causes`` are ours."""
    alerts = [*notice.firing.values(), *notice.resolved.values()]
    return {
        "version": "4",
        "groupKey": notice.key.rpartition("/")[0],
        "truncatedAlerts": 0,
        "status": "firing" if notice.firing else "resolved",
        "receiver": receiver,
        "groupLabels": dict(notice.group),
        "commonLabels": _common(all_labels(a) for a in alerts),
        "commonAnnotations": _common(annotations(a) for a in alerts),
        "externalURL": external_url,
        "alerts": [
            {"status": "resolved" if a.state == "resolved" else "firing"}
            | posted(a, external_url)
            | {
                "endsAt": moment(a.resolved_at),
                "fingerprint": fingerprint_of(all_labels(a)),
                "causes": _causes(a),
            }
            for a in alerts
        ],
    }


def slack(notice: Notice, external_url: str) -> dict[str, Any]:
    """Return the message for Slack and those that understand the same; nothing in it can mention or link."""
    color = _COLORS.get(worst(notice.firing), _COLORS["info"]) if notice.firing else _ENDED
    attachment = {
        "color": color,
        "fallback": _quoted(subject(notice)),
        "text": _quoted(body(notice, "")),
    }
    if external_url:
        attachment |= {"title": "pgwatch_wed", "title_link": external_url}
    return {"text": _quoted(subject(notice)), "attachments": [attachment]}


def posted(alert: Alert, external_url: str) -> dict[str, Any]:
    """Return an alert as an Alertmanager takes it."""
    return {
        "labels": {name: plain(value) for name, value in all_labels(alert).items()},
        "annotations": annotations(alert) | _named_cause(alert),
        "startsAt": moment(alert.fired_at or alert.active_at),
        "generatorURL": external_url,
    }


def annotations(alert: Alert) -> dict[str, str]:
    """Return what the rule says of an alert."""
    return {name: plain(value) for name, value in alert.annotations}


def moment(at: float | None) -> str:
    """Write a moment as RFC 3339."""
    if at is None:
        return _NEVER
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _paragraph(alert: Alert) -> str:
    said = annotations(alert)
    labels = ", ".join(f"{n}={plain(v)}" for n, v in sorted(alert.labels))
    lines = [
        f"{'RESOLVED' if alert.state == 'resolved' else 'FIRING'} {plain(alert.name)} ({labels})"
    ]
    lines += [said[name] for name in ("summary", "description") if said.get(name)]
    lines.append(
        f"since {moment(alert.active_at)}"
        + (f", until {moment(alert.resolved_at)}" if alert.resolved_at else "")
    )
    if alert.state != "resolved":
        lines += [line for suspect in suspects(alert)[:3] for line in _lines(suspect)]
    if said.get("runbook_url"):
        lines.append(f"runbook: {said['runbook_url']}")
    return "\n".join(lines)


def _lines(suspect: Suspect) -> list[str]:
    if not suspect.is_known:
        return [f"cause: unknown: {plain(suspect.title)}"]
    lines = [f"cause (grade {suspect.grade}): {plain(suspect.title)}"]
    for step in suspect.remedy:
        lines.append(f"  fix: {plain(step.sql)}")
        if step.undo:
            lines.append(f"  undo: {plain(step.undo)}")
    return lines


def suspects(alert: Alert) -> list[Suspect]:
    """Return the suspected causes of an alert."""
    return [each for each in alert.causes if isinstance(each, Suspect)]


def _named_cause(alert: Alert) -> dict[str, str]:
    first = next((s for s in suspects(alert) if s.is_known), None)
    return {"cause": plain(f"{first.title} (grade {first.grade})")} if first else {}


def _causes(alert: Alert) -> list[dict[str, Any]]:
    return [
        {
            "title": plain(s.title),
            "grade": s.grade.value if s.grade else "unknown",
            "kind": s.kind,
            "evidence": {name: _told(value) for name, value in s.evidence.items()},
            "remedy": [
                {"sql": plain(r.sql), "lock": r.lock, "undo": plain(r.undo)} for r in s.remedy
            ],
            "rule": s.rule,
            "finding": s.finding,
        }
        for s in suspects(alert)
    ]


def _told(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value  # as in JSON


def _common(each: Iterable[Mapping[str, str]]) -> dict[str, str]:
    first, *others = list(each)
    return {n: v for n, v in first.items() if all(o.get(n) == v for o in others)}


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
