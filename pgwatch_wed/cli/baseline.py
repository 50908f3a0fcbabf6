"""`--baseline`: what a report is compared with, and the report compared with it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pgwatch_wed.analyse import analyse, analyse_both_redacted
from pgwatch_wed.cli.remembering import is_file, since
from pgwatch_wed.config import Config
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.gather.wanted import Since, nothing
from pgwatch_wed.history import conclusions
from pgwatch_wed.history.conclusions import Conclusions
from pgwatch_wed.history.gate import compared
from pgwatch_wed.history.pairing import paired
from pgwatch_wed.history.successors import matched, renamed_database, successors


@dataclass(frozen=True, slots=True)
class Baseline:
    """What to compare with: the snapshots of an earlier run, which are judged again, or what it concluded."""

    label: str
    find: Since
    concluded: Conclusions | None = None


def load(references: tuple[str, ...], given: dict[str, Any], settings: Config) -> Baseline | None:
    """Read what is to be compared with: snapshots, one per database, one JSON report, or one run of the history."""
    if not references:
        return None
    paths = [Path(text) for text in references if is_file(text)]
    reports = [(path, found) for path in paths if conclusions.is_report(found := json_of(path))]
    if not reports:
        label = ", ".join(Path(text).name for text in references)
        return Baseline(label, since(references, given, settings, "--baseline"))
    if len(references) > 1:
        raise UsageError(
            "--baseline takes one report, or one snapshot per database",
            "omit the others: a report contains all databases",
        )
    ((path, document),) = reports
    return Baseline(path.name, nothing, conclusions.of_json(document, str(path)))


def json_of(path: Path) -> Any:
    """Return the JSON document in a file, or None if that is not what it is."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"could not read {path}: {error.strerror or error}") from None
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def judged(
    snapshots: tuple[Snapshot, ...],
    settings: Config,
    baseline: Baseline | None,
    target: str,
    allowed: tuple[str, ...] | None,
) -> tuple[Report, tuple[Snapshot, ...]]:
    """Judge, and compare with the baseline if there is one.

    ``allowed`` are the names that are not replaced; None if none is to be replaced.
    """
    earlier = _of_these_databases(baseline.find(snapshots), snapshots) if baseline else ()
    if allowed is None:
        report = analyse(snapshots, settings, target=target or None)
        before = analyse(earlier, settings) if earlier else None
    elif baseline is not None and not earlier:
        raise UsageError(
            "a JSON report cannot be compared with placeholders for names",
            "use a snapshot as the baseline, or omit --redact",
        )
    else:
        report, snapshots, before, earlier = analyse_both_redacted(
            snapshots, earlier, settings, allowed
        )
    if baseline is None:
        return report, snapshots
    if before is not None:
        known = conclusions.concluded(before)
        successor, note = successors(earlier, snapshots), _note(earlier, snapshots)
    else:
        assert baseline.concluded is not None
        known = baseline.concluded
        successor = renamed_database(known.databases, report.target.databases)
        note = _other_server(known, report)
    if known.taken_at > report.generated_at:
        note = "; ".join(filter(None, (note, "the baseline is newer than this run")))
    return compared(report, known, baseline.label, successor, note), snapshots


def _of_these_databases(
    earlier: Sequence[Snapshot], snapshots: Sequence[Snapshot]
) -> tuple[Snapshot, ...]:
    """Give a database that was renamed its present name, of which fingerprints are made."""
    if len(earlier) != 1 or len(snapshots) != 1:
        return tuple(earlier)
    (old,), (new,) = earlier, snapshots
    was, name = old.server.database, new.server.database
    databases = tuple(replace(d, name=name) if d.name == was else d for d in old.databases)
    return (replace(old, server=replace(old.server, database=name), databases=databases),)


def _note(earlier: Sequence[Snapshot], snapshots: Sequence[Snapshot]) -> str:
    reasons = (paired(old, new).by_name for old, new in matched(earlier, snapshots))
    said = "; ".join(dict.fromkeys(filter(None, reasons)))
    return f"compared by names: {said}" if said else ""


def _other_server(known: Conclusions, report: Report) -> str:
    ours = report.target.system_identifier
    if known.system_identifier and ours and known.system_identifier != ours:
        return "compared by names: the baseline is of another server"
    return ""
