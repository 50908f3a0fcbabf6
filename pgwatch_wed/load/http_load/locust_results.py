"""The files that Locust's processes left → one distribution, and whether it can be believed."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgwatch_wed.load.engine.hdr_latencies import HdrLatencies
from pgwatch_wed.load.load_model import FailureKind, Machine, Spoilt, TimeSpent
from pgwatch_wed.units import count

_NEAR_A_CORE = 0.8
_LATE_MS, _LATE_SHARE = (
    5.0,
    0.1,
)  # of the mean latency, by which Locust's own greenlets wake up late
_HUNG_S = 1.0
_WAITED = 0.1  # of the time, ready and without a CPU
_OTHERS, _PRESSURE = 0.2, 0.1
_STEAL = 0.02


@dataclass(frozen=True, slots=True)
class LocustResults:
    """What all processes that sent requests found; shares are the worst of any one."""

    seconds: float
    failures: Mapping[FailureKind, int]
    spent: TimeSpent
    by_name: Mapping[str, TimeSpent]
    errors: tuple[str, ...]
    cpu: float
    waited: float | None
    late_ms: float
    latest_s: float
    processes: int


def read(folder: Path, *, is_open: bool) -> LocustResults | None:
    """Add up what is there; None if nothing was measured."""
    documents = [d for d in _documents(folder) if d["first"] and d["last"] > d["first"]]
    if not documents:
        return None
    times: dict[str, dict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    failures: Counter[str] = Counter()
    for document in documents:
        failures.update(document["failures"])
        for name, kinds in document["times"].items():
            for kind, counts in kinds.items():
                times[name][kind].update({int(us): n for us, n in counts.items()})
    return LocustResults(
        seconds=max(d["last"] - d["first"] for d in documents),
        failures={kind: n for kind in FailureKind if (n := failures[kind.value])},
        spent=_spent(times.values(), is_open=is_open),
        by_name={name: _spent([kinds], is_open=is_open) for name, kinds in sorted(times.items())},
        errors=tuple(dict.fromkeys(e for d in documents for e in d["errors"]))[:5],
        cpu=max(d["cpu_s"] / (d["last"] - d["first"]) for d in documents),
        waited=_worst_wait(documents),
        late_ms=max(1000 * d["late_s"] for d in documents),
        latest_s=max(d["latest_s"] for d in documents),
        processes=len(documents),
    )


def _documents(folder: Path) -> list[dict[str, Any]]:
    """Return each process's document once: its own file, else what it last reported from another machine."""
    here = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    reported = {node: document for each in here for node, document in each.get("far", {}).items()}
    senders = [document for document in here if "far" not in document]  # a master sends nothing
    nodes = {document["node"] for document in senders}
    return [*senders, *(document for node, document in reported.items() if node not in nodes)]


def _worst_wait(documents: list[dict[str, Any]]) -> float | None:
    waits = [
        d["waited_s"] / (d["last"] - d["first"]) for d in documents if d["waited_s"] is not None
    ]
    return max(waits, default=None)


def _spent(parts: Iterable[Mapping[str, Counter[int]]], *, is_open: bool) -> TimeSpent:
    found: dict[str, Counter[int]] = {"latency": Counter(), "lag": Counter(), "service": Counter()}
    for part in parts:
        for kind, counts in part.items():
            found[kind].update(counts)
    return TimeSpent(
        latency=HdrLatencies(found["latency"]),
        lag=HdrLatencies(found["lag"]) if is_open else None,
        service=HdrLatencies(found["service"]),
    )


def spoilt_by(results: LocustResults, machine: Machine, ended_early: str) -> tuple[Spoilt, ...]:
    """Return why the times are not to be believed: Locust itself warns of nothing while it starves."""
    return tuple(
        Spoilt(check=check, text=text) for check, text in _reasons(results, machine, ended_early)
    )


def _reasons(
    results: LocustResults, machine: Machine, ended_early: str
) -> Iterator[tuple[str, str]]:
    if ended_early:
        yield "interrupted", f"The run ended early: {ended_early}."
    if results.cpu >= _NEAR_A_CORE:
        ran = count(results.processes, "process", "processes")
        text = f"Of {ran} of Locust, one used {results.cpu:.2f} cores, and can use one: it may have been slower than the service."
        yield "generator-cpu", text
    yield from (("generator-lag", text) for text in _lagged(results))
    others, pressure = machine.others_cpu, machine.pressure
    waited = results.waited is None or results.waited >= _WAITED / 2
    if others is not None and others >= _OTHERS and (pressure or 0.0) >= _PRESSURE and waited:
        who = "Other programs, or the service if it is here,"
        used = f"used {others:.1f} of {count(machine.cores, 'core')}"
        text = f"{who} {used}, and during {pressure or 0.0:.0%} of the time something waited for a CPU."
        yield "cpu-pressure", text
    if machine.steal is not None and machine.steal >= _STEAL:
        yield (
            "steal",
            f"The hypervisor took {machine.steal:.0%} of the CPU time for other machines.",
        )


def _lagged(results: LocustResults) -> Iterator[str]:
    mean = results.spent.latency.mean() or 0.0
    if results.latest_s >= _HUNG_S:
        yield f"Locust did nothing for {results.latest_s:.1f} s, whatever the service did."
    elif results.late_ms >= max(_LATE_MS, _LATE_SHARE * mean):
        yield f"Locust's own timers were {results.late_ms:.0f} ms late, and the mean latency is {mean:.0f} ms."
    if results.waited is not None and results.waited >= _WAITED:
        yield f"Locust was ready and waited for a CPU during {results.waited:.0%} of the time."
