"""The files that Locust's processes left → what was found in each block, and how well Locust kept up."""

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgwatch_wed.load.engine.hdr_latencies import HdrLatencies
from pgwatch_wed.load.load_model import FailureKind, TimeSpent

_MOST_ERRORS = 5
_PARTS = 5  # of a block, as in locust_plugin
_Times = dict[str, dict[str, Counter[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocustBlock:
    """What all processes that sent requests found in a block; shares and delays are the worst of any one.

    ``began_s`` since the measured part began. ``ended_inside``: requests that succeeded in this time, whenever they
    were due. ``least_lags_s``: the shortest lag in each fifth, None where nothing that was due began.
    """

    began_s: float
    seconds: float
    failures: Mapping[FailureKind, int]
    ended_inside: int
    spent: TimeSpent
    by_name: Mapping[str, TimeSpent]
    least_lags_s: tuple[float | None, ...]
    cpu: float
    waited: float | None
    late_ms: float
    latest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LocustResults:
    """All of it. ``first``: when the measured part began here, by the monotonic clock."""

    first: float
    blocks: tuple[LocustBlock, ...]
    errors: tuple[str, ...]
    processes: int


def read(
    folder: Path, *, is_open: bool, blocks: int, block_s: float, is_cut: bool = False
) -> LocustResults | None:
    """Add up what is there; None if nothing was measured.

    ``blocks`` were ordered, and what runs longer belongs to the last. ``is_cut``: it was ended early, so that what had not
    ended by then has not failed.
    """
    here = [_LocustFile(path, is_cut=is_cut) for path in sorted(folder.glob("*.jsonl"))]
    files = [file for file in here if not file.head.get("is_master") and file.seconds > 0]
    if not files:
        return None
    seconds = max(file.seconds for file in files)
    number = min(blocks, max(1, round(seconds / block_s)))
    starts = [i * block_s for i in range(number)]
    ends = [*starts[1:], seconds]
    return LocustResults(
        # only the clock of this machine counts, and a master is here, too
        first=min(f.first for f in here if f.first and not f.is_far) if here else 0.0,
        blocks=tuple(
            _block(files, i, (start, end), is_last=i == number - 1, is_open=is_open)
            for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        ),
        errors=tuple(dict.fromkeys(e for f in files for e in f.head["errors"]))[:_MOST_ERRORS],
        processes=len(files),
    )


class _LocustFile:
    """What one process wrote: the last line says how it went, and the parts of all lines add up."""

    def __init__(self, path: Path, *, is_cut: bool) -> None:
        lines = list(_lines(path))
        self.head: Mapping[str, Any] = lines[-1] if lines else {}
        self.is_far = path.name.startswith("far-")
        self.first = float(self.head.get("first", 0.0))
        self.seconds = max(0.0, float(self.head.get("last", 0.0)) - self.first)
        self._is_cut = is_cut
        self._parts: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for line in lines:
            for block, part in line["parts"].items():
                self._parts[int(block)].append(part)

    def parts(self, block: int, *, is_last: bool) -> Iterator[Mapping[str, Any]]:
        """Yield those of a block; the last one has all that follow."""
        for number, found in self._parts.items():
            if number == block or (is_last and number > block):
                yield from found

    def pending(self, block: int, *, is_last: bool) -> Iterator[Mapping[str, int]]:
        """Yield what was due in a block and did not end."""
        for number, found in self.head["pending"].items() if not self._is_cut else ():
            if int(number) == block or (is_last and int(number) > block):
                yield found

    def kept_up(self, block: int, *, is_last: bool) -> tuple[float, float | None, float, float]:
        """Return shares of a core used and waited for, and by how many seconds timers were late: on average, at most."""
        marks = self.head["marks"]
        begin = [mark for mark in marks if mark[0] <= block][-1]
        end = next((m for m in marks if m[0] > block and not is_last), marks[-1])
        seconds = max(end[1] - begin[1], 1e-6)
        waited = None if None in (begin[3], end[3]) else (end[3] - begin[3]) / seconds
        late = [
            noted
            for number, noted in self.head["late"].items()
            if int(number) == block or (is_last and int(number) > block)
        ]
        ticks = sum(noted[1] for noted in late)
        mean = sum(noted[0] for noted in late) / ticks if ticks else 0.0
        most = max((noted[2] for noted in late), default=0.0)
        return (end[2] - begin[2]) / seconds, waited, mean, most


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # a process that was killed may have written half
            yield json.loads(line)


def _block(
    files: Sequence[_LocustFile],
    number: int,
    bounds: tuple[float, float],
    *,
    is_last: bool,
    is_open: bool,
) -> LocustBlock:
    times: _Times = defaultdict(lambda: defaultdict(Counter))
    failures: Counter[str] = Counter()
    least: list[float | None] = [None] * _PARTS
    ended = 0
    for file in files:
        for part in file.parts(number, is_last=is_last):
            failures.update(part["failures"])
            ended += part["ended"]
            least = [_less(a, b) for a, b in zip(least, part["least"], strict=True)]
            _add(times, part["times"])
        for pending in file.pending(number, is_last=is_last):
            failures.update(pending)
    kept = [file.kept_up(number, is_last=is_last) for file in files]
    names = {name: _spent([kinds], is_open=is_open) for name, kinds in sorted(times.items())}
    return LocustBlock(
        began_s=bounds[0],
        seconds=bounds[1] - bounds[0],
        failures={kind: n for kind in FailureKind if (n := failures[kind.value])},
        ended_inside=ended,
        spent=_spent(list(times.values()), is_open=is_open),
        by_name=names,
        least_lags_s=tuple(least),
        cpu=max(cpu for cpu, *_ in kept),
        waited=max((w for _, w, *_ in kept if w is not None), default=None),
        late_ms=1000 * max(mean for *_, mean, _ in kept),
        latest_s=max(most for *_, most in kept),
    )


def _less(a: float | None, b: float | None) -> float | None:
    return min((lag for lag in (a, b) if lag is not None), default=None)


def _add(times: _Times, more: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
    for name, kinds in more.items():
        for kind, counts in kinds.items():
            times[name][kind].update({int(us): n for us, n in counts.items()})


def _spent(parts: Sequence[Mapping[str, Counter[int]]], *, is_open: bool) -> TimeSpent:
    found: dict[str, Counter[int]] = {"latency": Counter(), "lag": Counter(), "service": Counter()}
    for part in parts:
        for kind, counts in part.items():
            found[kind].update(counts)
    return TimeSpent(
        latency=HdrLatencies(found["latency"]),
        lag=HdrLatencies(found["lag"]) if is_open else None,
        service=HdrLatencies(found["service"]),
    )
