"""Alert states on disk, so that a restart neither forgets nor repeats an alert."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgwatch_wed.errors import Error
from pgwatch_wed.serve.alerts.alert_states import ActiveAlert
from pgwatch_wed.serve.alerts.evaluation import RuleEvaluation, RuleState
from pgwatch_wed.serve.state import Labels

_VERSION = 1
# An alert is not taken up again if the service was away for longer: whatever was, is another story.
TOO_OLD_MS = 3600_000
# No moment is in the year 2200: whoever shows it could not write it as a date.
LATEST_MS = 7_258_118_400_000


class AlertStateError(Error):
    """States cannot be kept or read; alerts go on without."""


def write(path: Path, evaluation: RuleEvaluation, at_ms: int) -> None:
    """Replace the file as a whole."""
    rules = evaluation.rules()
    document = {
        "version": _VERSION,
        "at_ms": at_ms,
        "alerts": [
            {"rule": rules[key].name, "group": key[1], **_written(alert)}
            for key, state in evaluation.states.items()
            for alert in state.alerts.values()
        ],
    }
    temporary = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise AlertStateError(
            f"alert states cannot be written to {path}: {error.strerror}",
            "alerts go on; after a restart they begin anew",
        ) from None


def restore(path: Path, evaluation: RuleEvaluation, now_ms: int) -> int:
    """Take up the alerts of a file; return how many. A file that cannot be read is set aside."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found, at_ms = _read(document), _moment(document["at_ms"])
    except FileNotFoundError:
        return 0
    except (
        *(OSError, ValueError, TypeError, KeyError, AttributeError),
        *(RecursionError, OverflowError),
    ) as error:
        _set_aside(path)
        raise AlertStateError(
            f"alert states in {path} cannot be read: {type(error).__name__}", "alerts begin anew"
        ) from None
    if not 0 <= now_ms - at_ms <= TOO_OLD_MS:
        return 0
    evaluation.restored_ms = now_ms
    return _taken_up(found, evaluation)


def _taken_up(
    found: Mapping[tuple[str, str], Mapping[Labels, ActiveAlert]], evaluation: RuleEvaluation
) -> int:
    count = 0
    for key, rule in evaluation.rules().items():
        alerts = found.get((rule.name, rule.group), {})
        if not rule.is_record and alerts:
            evaluation.states.setdefault(key, RuleState()).alerts = dict(alerts)
            count += len(alerts)
    return count


def _set_aside(path: Path) -> None:
    try:
        path.replace(path.with_name(f"{path.name}.corrupt"))
    except OSError:
        return


def _written(alert: ActiveAlert) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "value": repr(alert.value),
        "state": alert.state,
        "active_ms": alert.active_ms,
        "fired_ms": alert.fired_ms,
        "absent_ms": alert.absent_ms,
        "resolved_ms": alert.resolved_ms,
    }


def _read(document: Any) -> dict[tuple[str, str], dict[Labels, ActiveAlert]]:
    if document["version"] != _VERSION:
        raise ValueError("another version")
    found: dict[tuple[str, str], dict[Labels, ActiveAlert]] = {}
    for row in document["alerts"]:
        alert = ActiveAlert(
            _labels(row["labels"]),
            _labels(row["annotations"]),
            float(row["value"]),
            _state(row["state"]),
            _moment(row["active_ms"]),
            *(
                None if row[key] is None else _moment(row[key])
                for key in ("fired_ms", "absent_ms", "resolved_ms")
            ),
        )
        if alert.state == "resolved" and alert.resolved_ms is None:
            raise ValueError("resolved, but not when")
        found.setdefault((str(row["rule"]), str(row["group"])), {})[alert.labels] = alert
    return found


def _labels(row: Mapping[str, Any]) -> Labels:
    return tuple(sorted((str(k), str(v)) for k, v in row.items()))


def _state(text: str) -> str:
    if text not in ("pending", "firing", "resolved"):
        raise ValueError(f"no state: {text!r}")
    return text


def _moment(value: Any) -> int:
    if not 0 <= (at_ms := int(value)) < LATEST_MS:
        raise ValueError("no moment of ours")
    return at_ms
