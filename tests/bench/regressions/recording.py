"""A recorded workload in a small file: per statement and interval what was counted."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

COLUMNS: Mapping[str, str] = {
    "calls": "calls",
    "exec_us": "(total_exec_time * 1000)::int8",
    "rows": "rows",
    "blocks": "shared_blks_hit + shared_blks_read",
}
"""What is kept, and how pg_stat_statements has it."""


@dataclass(frozen=True)
class Recording:
    """Counted per interval: ``series[query][column][interval]``; and the time of all statements."""

    seconds: float
    total_us: list[int]
    series: dict[str, dict[str, list[int]]]

    @classmethod
    def of(
        cls,
        seconds: float,
        counts: Sequence[Mapping[int, tuple[float, ...]]],
        min_share: float = 0.001,
    ) -> "Recording":
        """Subtract what was read; statements with a smaller share of the load are only part of the total."""
        found: dict[str, dict[str, list[int]]] = {}
        total = [0] * (len(counts) - 1)
        for query in counts[-1]:
            rows = [c.get(query, (0.0,) * len(COLUMNS)) for c in counts]
            found[str(query)] = {
                name: [int(b[n] - a[n]) for a, b in itertools.pairwise(rows)]
                for n, name in enumerate(COLUMNS)
            }
            total = [a + b for a, b in zip(total, found[str(query)]["exec_us"], strict=True)]
        kept = {k: s for k, s in found.items() if sum(s["exec_us"]) >= min_share * sum(total)}
        return cls(seconds, total, kept)

    @property
    def length(self) -> int:
        """The number of intervals."""
        return len(self.total_us)


def write(path: Path, recording: Recording) -> None:
    """Write a compressed file."""
    data = json.dumps(vars(recording), separators=(",", ":")).encode()
    path.write_bytes(zstandard.ZstdCompressor(level=19).compress(data))


def read(path: Path) -> Recording:
    """Read a compressed file."""
    return Recording(**json.loads(zstandard.ZstdDecompressor().decompress(path.read_bytes())))
