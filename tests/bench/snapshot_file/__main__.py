"""Compare the formats of snapshot files: ``python -m tests.bench.snapshot_file FILE…``.

Prints the size of each snapshot in format 1 and in the present one, and the processor seconds that reading takes;
of three times the quickest counts.
"""

import json
import sys
import time
from pathlib import Path

import zstandard
from tabulate import tabulate

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from tests.snapshot_documents import row_by_row

HEADERS = ("file", "format 1, bytes", "now, bytes", "ratio", "read, CPU s", "now, CPU s", "ratio")


def old(snapshot: Snapshot) -> bytes:
    """Return the bytes of a file in format 1."""
    text = json.dumps(row_by_row(snapshot), ensure_ascii=False, separators=(",", ":"))
    return zstandard.ZstdCompressor(level=6).compress(text.encode("utf-8", "surrogatepass"))


def seconds(data: bytes) -> float:
    """Return the processor time of reading a file."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        snapshot_file.loads(data)
        taken.append(time.process_time() - begun)
    return min(taken)


def row(path: Path) -> tuple[str, ...]:
    """Measure a file."""
    snapshot = snapshot_file.load(path)
    before, now = old(snapshot), snapshot_file.dumps(snapshot)
    slow, fast = seconds(before), seconds(now)
    sizes = (f"{len(before):,}", f"{len(now):,}", f"{len(now) / len(before):.2f}")
    return (path.name, *sizes, f"{slow:.2f}", f"{fast:.2f}", f"{fast / slow:.2f}")


if __name__ == "__main__":
    print(tabulate([row(Path(each)) for each in sys.argv[1:]], headers=HEADERS, tablefmt="github"))
